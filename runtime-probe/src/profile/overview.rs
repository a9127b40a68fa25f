//! The state of a process at one moment: troubles, tasks by state, workers with their polls, CPU and memory.

use super::diagnosis::Diagnosis;
use super::figures;
use super::goroutine::Goroutines;
use super::selection::Selection;
use super::troubles::{Trouble, troubles};
use crate::primitive::Ordering;
use crate::registry::runtimes;
use crate::registry::task::{Kind, Waking};
use crate::registry::threads::{self, Role, Thread};
use crate::snapshot::tasks::{Row, State as Doing};
use crate::source::metrics::{self, Activity, RuntimeNumbers, WorkerNumbers};
use crate::sys::cpu_timer;
use crate::sys::process_status::ProcessStatus;
use runtime_dump::goroutine::State;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The state of the process.
pub(crate) struct Overview {
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) tasks: usize,
    /// Tasks that no dump lists.
    pub(crate) unlisted: u64,
    /// Counts of tasks by what they do, ordered by state, the largest first.
    pub(crate) states: Vec<StateCount>,
    pub(crate) runtimes: Vec<RuntimeLanes>,
    pub(crate) process: Process,
    /// Sentences about what the probe can and cannot show.
    pub(crate) diagnosis: Vec<String>,
}

/// The number of tasks that do the same.
pub(crate) struct StateCount {
    pub(crate) state: State,
    /// The text in the brackets of a dump.
    pub(crate) text: &'static str,
    pub(crate) tasks: usize,
    pub(crate) longest_ns: u64,
}

/// A runtime and its workers.
pub(crate) struct RuntimeLanes {
    pub(crate) name: String,
    /// `multi_thread` and the like.
    pub(crate) flavor: &'static str,
    pub(crate) global_queue: u64,
    /// (running closures, closures that wait for a thread)
    pub(crate) blocking: (usize, usize),
    pub(crate) workers: Vec<Lane>,
}

/// A worker.
pub(crate) struct Lane {
    /// Kernel id and name of the thread, if it is known.
    pub(crate) thread: Option<(u32, String)>,
    /// Busy time since the worker began, the poll under way included.
    pub(crate) busy: Option<Duration>,
    pub(crate) queue: Option<u64>,
    pub(crate) does: LaneDoes,
}

/// What a worker does now.
pub(crate) enum LaneDoes {
    Polls {
        task: u64,
        name: String,
        since_ns: u64,
    },
    Sleeps,
    /// The worker looks for work, or is between two polls.
    Awake,
    /// No thread runs the worker, as far as the probe knows: see [`Activity::Outside`].
    Outside,
    /// The worker polls nothing. tokio does not tell whether it sleeps.
    Unknown,
}

/// Resources of the process, by the system's counts.
pub(crate) struct Process {
    pub(crate) cpu_ns: u64,
    pub(crate) age: Option<Duration>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) open_fds: Option<u64>,
    pub(crate) most_fds: Option<u64>,
}

impl Overview {
    /// Collects the state.
    pub(crate) fn collect() -> Overview {
        // tokio's counts are read before the tasks: otherwise a poll that ends in between would count twice.
        let numbers = metrics::all();
        let goroutines = Goroutines::collect(Selection::default());
        Overview {
            troubles: troubles(&goroutines),
            tasks: goroutines.all,
            unlisted: goroutines.unlisted,
            states: states(&goroutines),
            runtimes: lanes(numbers, &goroutines),
            process: Process::now(),
            diagnosis: Diagnosis::now().lines(),
        }
    }
}

impl Process {
    fn now() -> Process {
        let status = ProcessStatus::read();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let age = status.started.zip(now.ok()).and_then(|(started, now)| {
            Duration::try_from_secs_f64(now.as_secs_f64() - started).ok()
        });
        Process {
            cpu_ns: cpu_timer::process_cpu_ns(),
            age,
            resident_bytes: status.resident_bytes,
            threads: status.threads,
            open_fds: status.open_fds,
            most_fds: status.most_fds,
        }
    }
}

fn states(goroutines: &Goroutines) -> Vec<StateCount> {
    let mut counts: HashMap<&'static str, StateCount> = HashMap::new();
    for row in &goroutines.tasks.rows {
        let does = goroutines.doings[row.stack_key as usize].does;
        let count = counts.entry(does.text()).or_insert(StateCount {
            state: does.state(),
            text: does.text(),
            tasks: 0,
            longest_ns: 0,
        });
        count.tasks += 1;
        count.longest_ns = count.longest_ns.max(row.since_ns);
    }
    let mut counts: Vec<StateCount> = counts.into_values().collect();
    counts.sort_by_key(|count| (count.state, usize::MAX - count.tasks, count.text));
    counts
}

fn lanes(numbers: Vec<RuntimeNumbers>, goroutines: &Goroutines) -> Vec<RuntimeLanes> {
    let polled = polled(goroutines);
    let mut blocking: HashMap<u16, (usize, usize)> = HashMap::new();
    for row in &goroutines.tasks.rows {
        let counts = blocking.entry(row.runtime.0).or_default();
        match goroutines.tasks.stack_keys[row.stack_key as usize].state {
            Doing::Blocking => counts.0 += 1,
            Doing::Queued => counts.1 += 1,
            _ => {}
        }
    }
    let lanes = numbers.into_iter().map(|numbers| {
        let number = runtimes::by_id(numbers.id);
        RuntimeLanes {
            name: figures::runtime_name(&numbers),
            flavor: numbers.flavor,
            global_queue: numbers.global_queue,
            blocking: blocking.get(&number.0).copied().unwrap_or_default(),
            workers: workers(goroutines, &numbers, &polled),
        }
    });
    lanes.collect()
}

/// By thread number: the innermost task that the thread polls.
fn polled(goroutines: &Goroutines) -> BTreeMap<u32, &Row> {
    let mut polled: BTreeMap<u32, &Row> = BTreeMap::new();
    for row in &goroutines.tasks.rows {
        let key = &goroutines.tasks.stack_keys[row.stack_key as usize];
        let Waking::Thread(thread) = row.by() else {
            continue;
        };
        if key.state != Doing::Running || key.kind == Kind::Nested {
            continue;
        }
        let innermost = polled.entry(thread.0).or_insert(row);
        // The root of a block_on polls local tasks inside its own poll.
        if key.kind != Kind::BlockOn {
            *innermost = row;
        }
    }
    polled
}

fn workers(
    goroutines: &Goroutines,
    numbers: &RuntimeNumbers,
    polled: &BTreeMap<u32, &Row>,
) -> Vec<Lane> {
    let alive = threads::alive();
    let lane = |thread: Option<(u32, &Thread)>, worker: Option<&WorkerNumbers>| {
        let poll = thread.and_then(|(number, _)| polled.get(&number).copied());
        // tokio counts a poll at its end.
        let lasts = Duration::from_nanos(poll.map_or(0, |row| row.since_ns));
        Lane {
            thread: thread.map(|(_, thread)| (thread.tid, thread.name.to_string())),
            busy: worker.map(|worker| worker.busy + lasts),
            queue: worker.and_then(|worker| Some(worker.unstable?.local_queue)),
            does: match (poll, worker) {
                (Some(row), _) => LaneDoes::Polls {
                    task: row.id,
                    name: goroutines.with_name(row),
                    since_ns: row.since_ns,
                },
                (None, Some(worker)) => match worker.activity {
                    Activity::Parked => LaneDoes::Sleeps,
                    Activity::Awake => LaneDoes::Awake,
                    Activity::Outside => LaneDoes::Outside,
                },
                (None, None) => LaneDoes::Unknown,
            },
        }
    };
    let is_known =
        |worker: &WorkerNumbers| worker.thread.is_some() || worker.activity == Activity::Outside;
    if numbers.workers.iter().all(is_known) {
        let number = runtimes::by_id(numbers.id);
        // A runtime that polls a task is in tokio's own `block_on`, if it is in none of the probe's.
        let polls_here = |(_, row): &(&u32, &&Row)| number.0 != 0 && row.runtime == number;
        let polling = polled.iter().find(polls_here).map(|(thread, _)| *thread);
        let lanes = numbers.workers.iter().map(|worker| {
            let mut threads = alive.iter();
            let thread = threads.find(|(thread, (known, _))| match worker.activity {
                Activity::Outside => Some(**thread) == polling,
                Activity::Awake | Activity::Parked => Some(known.std_id) == worker.thread,
            });
            let thread = thread.map(|(number, (thread, _))| (*number, thread));
            lane(thread, Some(worker))
        });
        return lanes.collect();
    }
    // Without tokio_unstable, tokio does not tell the thread of a worker.
    let runtime = u32::from(runtimes::by_id(numbers.id).0);
    let mut threads: Vec<(u32, &Thread)> = alive
        .iter()
        .filter(|(_, (_, slot))| {
            runtime != 0
                && slot.role() == Role::Worker
                && slot.runtime.load(Ordering::Relaxed) == runtime
        })
        .map(|(number, (thread, _))| (*number, thread))
        .collect();
    threads.sort_by_key(|(_, thread)| thread.tid);
    threads
        .into_iter()
        .map(|thread| lane(Some(thread), None))
        .collect()
}
