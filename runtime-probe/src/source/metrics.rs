//! tokio's own counts of the runtimes that our types hold. A runtime of tokio's builder may have our hooks, but the
//! probe has no handle of it.

use super::foreign::number;
use crate::primitive::{self, AtomicU32, Ordering};
use crate::registry::runtimes::{self, RuntimeNumber};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};

/// Lists a runtime until this is dropped. It MUST be dropped before the runtime's own end is awaited, because the list
/// keeps a handle.
#[derive(Debug)]
pub(crate) struct Measured(Option<Listed>);

#[derive(Debug)]
struct Listed {
    key: u64,
    inside: Arc<AtomicU32>,
}

struct Held {
    handle: Handle,
    is_local: bool,
    /// How many threads are in a `block_on` of our type.
    inside: Arc<AtomicU32>,
}

static LIST: Mutex<(u64, BTreeMap<u64, Held>)> = Mutex::new((0, BTreeMap::new()));

fn lock() -> MutexGuard<'static, (u64, BTreeMap<u64, Held>)> {
    primitive::lock(&LIST)
}

impl Measured {
    /// Lists a runtime.
    pub(crate) fn new(handle: &Handle) -> Measured {
        Measured::enter(handle, false)
    }

    /// The same for a `LocalRuntime`.
    pub(crate) fn local(handle: &Handle) -> Measured {
        Measured::enter(handle, true)
    }

    fn enter(handle: &Handle, is_local: bool) -> Measured {
        Measured(super::start_here().then(|| {
            let inside = Arc::new(AtomicU32::new(0));
            let held = Held {
                handle: handle.clone(),
                is_local,
                inside: inside.clone(),
            };
            let (last, list) = &mut *lock();
            *last += 1;
            list.insert(*last, held);
            Listed { key: *last, inside }
        }))
    }

    /// A thread is in a `block_on` of the runtime until the result is dropped.
    pub(crate) fn inside(&self) -> Option<Inside<'_>> {
        let inside = &*self.0.as_ref()?.inside;
        inside.fetch_add(1, Ordering::Relaxed);
        Some(Inside(inside))
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // The handle is dropped outside of the lock.
        let _held = self
            .0
            .as_ref()
            .and_then(|listed| lock().1.remove(&listed.key));
    }
}

/// A thread in a `block_on`.
#[derive(Debug)]
pub(crate) struct Inside<'m>(&'m AtomicU32);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// tokio's counts of a runtime. Counts that this build does not have are `None`.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeNumbers {
    /// tokio's id of the runtime.
    pub(crate) id: u64,
    pub(crate) flavor: &'static str,
    pub(crate) tasks_alive: u64,
    pub(crate) tasks_spawned: Option<u64>,
    /// Tasks in the shared queue of the workers.
    pub(crate) global_queue: u64,
    /// Tasks that were woken from outside of the workers.
    pub(crate) remote_schedules: Option<u64>,
    /// Times that a task yielded because it had used up its budget.
    pub(crate) forced_yields: Option<u64>,
    pub(crate) blocking_threads: Option<u64>,
    pub(crate) blocking_idle: Option<u64>,
    /// Queued closures.
    pub(crate) blocking_queue: Option<u64>,
    pub(crate) workers: Vec<WorkerNumbers>,
}

/// tokio's counts of a worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerNumbers {
    pub(crate) busy: Duration,
    pub(crate) parks: u64,
    pub(crate) activity: Activity,
    /// The thread of the worker, if there is one and tokio tells it.
    pub(crate) thread: Option<ThreadId>,
    pub(crate) unstable: Option<UnstableNumbers>,
}

/// Whether a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Parked,
    Awake,
    /// The worker of a `current_thread` runtime that no thread runs in a `block_on` of ours. tokio counts it as awake, and tells
    /// the thread that was in it last. A `block_on` of tokio's own type, by a deref, is not seen.
    Outside,
}

/// Counts of a worker with `--cfg tokio_unstable` only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnstableNumbers {
    pub(crate) polls: u64,
    /// Parks after which there was nothing to do.
    pub(crate) idle_unparks: u64,
    pub(crate) steals: u64,
    pub(crate) local_queue: u64,
    /// Times that the local queue was full.
    pub(crate) overflows: u64,
    pub(crate) mean_poll: Duration,
}

/// The counts of all listed runtimes, as of now.
pub(crate) fn all() -> Vec<RuntimeNumbers> {
    // Under the lock, so that a runtime that is being dropped is unlisted before it goes on.
    lock().1.values().map(numbers).collect()
}

/// tokio's number of live tasks of a runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alive {
    /// 0 if it has no hook of ours.
    pub(crate) runtime: RuntimeNumber,
    /// Whether tasks of `spawn_local` are included.
    pub(crate) is_local: bool,
    pub(crate) tasks: u64,
}

/// The live tasks of each listed runtime, as of now.
pub(crate) fn alive() -> Vec<Alive> {
    let list = lock();
    let alive = list.1.values().map(|held| Alive {
        runtime: runtimes::by_id(number(held.handle.id())),
        is_local: held.is_local,
        tasks: held.handle.metrics().num_alive_tasks() as u64,
    });
    alive.collect()
}

fn numbers(held: &Held) -> RuntimeNumbers {
    let handle = &held.handle;
    let metrics = handle.metrics();
    let is_current_thread = handle.runtime_flavor() == RuntimeFlavor::CurrentThread;
    let activity = |worker| match () {
        // tokio counts parks and unparks together, so an odd number means parked.
        () if metrics.worker_park_unpark_count(worker) % 2 == 1 => Activity::Parked,
        () if is_current_thread && held.inside.load(Ordering::Relaxed) == 0 => Activity::Outside,
        () => Activity::Awake,
    };
    let workers = (0..metrics.num_workers())
        .map(|worker| (worker, activity(worker)))
        .map(|(worker, activity)| WorkerNumbers {
            busy: metrics.worker_total_busy_duration(worker),
            parks: metrics.worker_park_count(worker),
            activity,
            thread: (activity != Activity::Outside)
                .then(|| thread(&metrics, worker))
                .flatten(),
            #[cfg(tokio_unstable)]
            unstable: Some(UnstableNumbers {
                polls: metrics.worker_poll_count(worker),
                idle_unparks: metrics.worker_noop_count(worker),
                steals: metrics.worker_steal_count(worker),
                local_queue: metrics.worker_local_queue_depth(worker) as u64,
                overflows: metrics.worker_overflow_count(worker),
                mean_poll: metrics.worker_mean_poll_time(worker),
            }),
            #[cfg(not(tokio_unstable))]
            unstable: None,
        })
        .collect();
    macro_rules! unstable {
        ($method:ident) => {{
            #[cfg(tokio_unstable)]
            let number = Some(metrics.$method() as u64);
            #[cfg(not(tokio_unstable))]
            let number = None;
            number
        }};
    }
    RuntimeNumbers {
        id: number(handle.id()),
        flavor: match is_current_thread {
            true => "current_thread",
            false => "multi_thread",
        },
        tasks_alive: metrics.num_alive_tasks() as u64,
        tasks_spawned: unstable!(spawned_tasks_count),
        global_queue: metrics.global_queue_depth() as u64,
        remote_schedules: unstable!(remote_schedule_count),
        forced_yields: unstable!(budget_forced_yield_count),
        blocking_threads: unstable!(num_blocking_threads),
        blocking_idle: unstable!(num_idle_blocking_threads),
        blocking_queue: unstable!(blocking_queue_depth),
        workers,
    }
}

#[cfg(tokio_unstable)]
fn thread(metrics: &RuntimeMetrics, worker: usize) -> Option<ThreadId> {
    metrics.worker_thread_id(worker)
}

#[cfg(not(tokio_unstable))]
fn thread(_: &RuntimeMetrics, _: usize) -> Option<ThreadId> {
    None
}
