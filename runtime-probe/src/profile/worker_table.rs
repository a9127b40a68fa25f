//! What tokio counts of its runtimes and workers, as tables.

use crate::registry::runtimes;
use crate::snapshot::pools::{self, Pool};
use crate::snapshot::threads::Threads;
use crate::source::metrics::{RuntimeNumbers, WorkerNumbers};

/// Where a build does not tell.
const UNKNOWN: &str = "-";

const COLUMNS: [&str; 9] = [
    "worker",
    "busy",
    "parks",
    "polls",
    "mean poll",
    "steals",
    "local queue",
    "overflows",
    "idle unparks",
];

/// Lines of cells: for each runtime a line and a table, and why something is missing.
pub(crate) fn tables(threads: &Threads) -> Vec<Vec<Vec<String>>> {
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    let pools = pools::now();
    for numbers in &threads.numbers {
        let listed = runtimes::by_id(numbers.id);
        let known = threads.runtimes.iter().find(|one| one.number == listed);
        let name = known.map_or("without hooks of ours", |runtime| &runtime.name);
        let pool = pools.iter().find(|pool| pool.runtime.number == listed);
        tables.push(vec![vec![runtime_line(name, numbers, pool)]]);
        let header = COLUMNS.map(str::to_owned).to_vec();
        let workers = numbers.workers.iter().enumerate();
        let lines = workers.map(|(index, numbers)| worker_line(index, numbers));
        tables.push(std::iter::once(header).chain(lines).collect());
    }
    for runtime in &threads.runtimes {
        let mut measured = threads.numbers.iter();
        if !measured.any(|numbers| runtimes::by_id(numbers.id) == runtime.number) {
            tables.push(vec![vec![format!(
                "runtime {}: what tokio counts of it cannot be reached, for no Runtime of this crate holds it",
                runtime.name
            )]]);
        }
    }
    let why = match (tables.is_empty(), cfg!(tokio_unstable)) {
        (true, _) => Some("no runtime of this crate is alive"),
        (false, false) => Some("-: tokio tells it with --cfg tokio_unstable only"),
        (false, true) => None,
    };
    tables.extend(why.map(|why| vec![vec![why.to_owned()]]));
    tables
}

fn runtime_line(name: &str, numbers: &RuntimeNumbers, pool: Option<&Pool>) -> String {
    let told = |number: Option<u64>| number.map_or(UNKNOWN.to_owned(), |number| number.to_string());
    let RuntimeNumbers {
        flavor,
        tasks_alive,
        global_queue,
        workers,
        ..
    } = numbers;
    let limit = pool.and_then(|pool| pool.runtime.blocking_threads);
    format!(
        "runtime {name} ({flavor}, {} workers): {tasks_alive} tasks alive, {} spawned; global queue {global_queue}, remote \
         schedules {}, forced yields {}; blocking pool: {} threads{}, {} idle, queue {}",
        workers.len(),
        told(numbers.tasks_spawned),
        told(numbers.remote_schedules),
        told(numbers.forced_yields),
        told(numbers.blocking_threads.or(pool.map(|pool| pool.threads))),
        limit.map_or(String::new(), |limit| format!(" of {limit}")),
        told(numbers.blocking_idle),
        told(pool.map(|pool| pool.queued).or(numbers.blocking_queue)),
    )
}

fn worker_line(index: usize, numbers: &WorkerNumbers) -> Vec<String> {
    let mut line = vec![
        index.to_string(),
        format!("{:.3?}", numbers.busy),
        numbers.parks.to_string(),
    ];
    match numbers.unstable {
        None => line.resize(COLUMNS.len(), UNKNOWN.to_owned()),
        Some(unstable) => line.extend([
            unstable.polls.to_string(),
            format!("{:.3?}", unstable.mean_poll),
            unstable.steals.to_string(),
            unstable.local_queue.to_string(),
            unstable.overflows.to_string(),
            unstable.idle_unparks.to_string(),
        ]),
    }
    line
}
