//! tokio's counts of its runtimes and workers, as tables.

use crate::registry::task::Kind;
use crate::registry::{self, endings, runtimes};
use crate::snapshot::pools::{self, Pool};
use crate::snapshot::standstill;
use crate::snapshot::threads::Threads;
use crate::snapshot::under_way::UnderWay;
use crate::source::metrics::{RuntimeNumbers, WorkerNumbers};
use std::collections::{HashMap, HashSet};
use std::thread::ThreadId;
use std::time::Duration;

/// The remark on what tokio's figures leave out.
const OF_TOKIO: &str = "polls and mean poll are tokio's: up to four polls count as one where tasks wake each other, and the root of a \
                        block_on is in none of them (its timers may be among the idle unparks); the page tasks has the probe's own";

/// In place of a value that the build does not have.
const UNKNOWN: &str = "-";

const COLUMNS: [&str; 10] = [
    "worker",
    "busy",
    "parks",
    "polls",
    "mean poll",
    "steals",
    "local queue",
    "overflows",
    "idle unparks",
    "in a poll",
];

/// Tables of cells: a line and a table for each runtime, and a remark on missing values.
pub(crate) fn tables(threads: &Threads, under_way: &[UnderWay]) -> Vec<Vec<Vec<String>>> {
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    let pools = pools::of(under_way);
    let endings = endings::under_way();
    let polls = LongPolls::of(under_way);
    for numbers in &threads.numbers {
        let listed = runtimes::by_id(numbers.id);
        let known = threads.runtimes.iter().find(|one| one.number == listed);
        let name = known.map_or("without hooks of ours", |runtime| &runtime.name);
        let pool = pools.iter().find(|pool| pool.runtime.number == listed);
        tables.push(vec![vec![runtime_line(name, numbers, pool)]]);
        let header = COLUMNS.map(str::to_owned).to_vec();
        let workers = numbers.workers.iter().enumerate();
        let lines = workers.map(|(index, numbers)| worker_line(index, numbers, &polls));
        tables.push(std::iter::once(header).chain(lines).collect());
    }
    for runtime in &threads.runtimes {
        let mut measured = threads.numbers.iter();
        // The metrics of an ending runtime are dropped first.
        let is_ending = || {
            let mut endings = endings.iter();
            endings.any(|ending| ending.runtime == runtime.number)
        };
        if !is_ending() && !measured.any(|numbers| runtimes::by_id(numbers.id) == runtime.number) {
            tables.push(vec![vec![format!(
                "runtime {}: what tokio counts of it cannot be reached, for no Runtime of this crate holds it",
                runtime.name
            )]]);
        }
    }
    let lines = polls.lines(&threads.numbers).into_iter();
    tables.extend(lines.map(|line| vec![vec![line]]));
    let why = match (tables.is_empty(), cfg!(tokio_unstable)) {
        (true, _) => Some("no runtime of this crate is alive"),
        (false, false) => Some("-: tokio tells it with --cfg tokio_unstable only"),
        (false, true) => Some(OF_TOKIO),
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

/// Long polls under way by thread: tokio has not counted them yet.
struct LongPolls(HashMap<ThreadId, LongPoll>);

struct LongPoll {
    task: u64,
    lasts: Duration,
    is_root: bool,
    /// A sentence about the poll and its thread.
    text: String,
}

impl LongPolls {
    fn of(under_way: &[UnderWay]) -> Self {
        let alive = registry::threads::alive();
        let polls = standstill::long_polls(under_way).into_iter();
        let known = polls.filter_map(|(thread, poll)| Some((&alive.get(&thread)?.0, poll)));
        let polls = known.map(|(thread, poll)| {
            let lasts = Duration::from_nanos(poll.since_ns);
            let poll = LongPoll {
                task: poll.id,
                lasts,
                is_root: poll.kind == Kind::BlockOn,
                text: format!(
                    "thread {} ({}) is in a poll of goroutine {} for {lasts:.1?}",
                    thread.tid, thread.name, poll.id
                ),
            };
            (thread.std_id, poll)
        });
        LongPolls(polls.collect())
    }

    /// Lines for the polls that are in no worker's line.
    fn lines(&self, numbers: &[RuntimeNumbers]) -> Vec<String> {
        let workers = numbers.iter().flat_map(|numbers| &numbers.workers);
        let workers: HashSet<ThreadId> = workers.filter_map(|worker| worker.thread).collect();
        let others = self.0.iter();
        let others = others.filter(|(thread, _)| !workers.contains(thread));
        let mut lines: Vec<String> = others
            .filter_map(|(_, poll)| {
                let why = match (cfg!(tokio_unstable), poll.is_root) {
                    (false, _) => ", which busy does not have yet",
                    // The root of a multi_thread runtime is not polled by a worker.
                    (true, true) => return None,
                    (true, false) => {
                        ", and is no worker any more: it has handed that over (block_in_place)"
                    }
                };
                Some(format!("{}{why}", poll.text))
            })
            .collect();
        lines.sort_unstable();
        lines
    }
}

fn worker_line(index: usize, numbers: &WorkerNumbers, polls: &LongPolls) -> Vec<String> {
    let thread = numbers.thread.as_ref();
    let poll = thread.and_then(|thread| polls.0.get(thread));
    let busy = numbers.busy + poll.map_or(Duration::ZERO, |poll| poll.lasts);
    let mut line = vec![
        index.to_string(),
        format!("{busy:.3?}"),
        numbers.parks.to_string(),
    ];
    match numbers.unstable {
        None => line.resize(COLUMNS.len(), UNKNOWN.to_owned()),
        Some(unstable) => line.extend([
            unstable.polls.to_string(),
            // tokio's average begins with a figure that was not measured.
            match unstable.polls {
                0 => UNKNOWN.to_owned(),
                _ => format!("{:.3?}", unstable.mean_poll),
            },
            unstable.steals.to_string(),
            unstable.local_queue.to_string(),
            unstable.overflows.to_string(),
            unstable.idle_unparks.to_string(),
            match poll {
                Some(poll) => format!("goroutine {} for {:.1?}", poll.task, poll.lasts),
                None => "no".to_owned(),
            },
        ]),
    }
    line
}
