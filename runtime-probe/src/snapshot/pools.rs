//! The blocking pools: threads, running closures and queued closures. `--cfg tokio_unstable` is not needed, because the
//! probe counts closures and threads. tokio's own closures (files, names, standard streams) are only in tokio's count
//! of the queue.

use super::under_way::UnderWay;
use crate::primitive::Ordering;
use crate::registry::runtimes::{self, Runtime};
use crate::registry::task::Kind;
use crate::registry::threads::{self, Role};
#[cfg(feature = "rt")]
use crate::source::metrics;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A closure that has waited for so long found no idle thread, and the pool is at its limit: otherwise tokio adds a
/// thread at once.
const STUCK: Duration = Duration::from_millis(100);

/// The pool of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) threads: u64,
    /// Queued closures, including tokio's own if it counts them.
    pub(crate) queued: u64,
    /// The longest wait of an instrumented closure.
    pub(crate) oldest: Duration,
    /// The spawn locations of running closures, the most frequent first.
    pub(crate) running: Sites,
    /// The spawn locations of queued closures, the most frequent first; `None` for tokio's own.
    pub(crate) waiting: Sites,
}

/// (spawn location, number of closures)
type Sites = Vec<(Option<&'static Location<'static>>, u64)>;

impl Pool {
    /// Whether all threads are busy, and closures wait.
    pub(crate) fn is_full(&self) -> bool {
        self.oldest >= STUCK
    }
}

/// All pools, in the order of the runtimes.
pub(crate) fn of(all: &[UnderWay]) -> Vec<Pool> {
    let mut closures: HashMap<u16, Counted> = HashMap::new();
    for one in all.iter().filter(|one| one.kind == Kind::Blocking) {
        let counted = closures.entry(one.runtime.0).or_default();
        match one.thread {
            Some(_) => *counted.running.entry(one.location).or_default() += 1,
            None => {
                *counted.queued.entry(one.location).or_default() += 1;
                counted.oldest_ns = counted.oldest_ns.max(one.since_ns);
            }
        }
    }
    let mut threads: HashMap<u16, u64> = HashMap::new();
    for (_, slot) in threads::alive().into_values() {
        if slot.role() == Role::Pool {
            let runtime = slot.runtime.load(Ordering::Relaxed) as u16;
            *threads.entry(runtime).or_default() += 1;
        }
    }
    let runtimes = runtimes::alive().into_iter();
    runtimes
        .map(|runtime| {
            let number = runtime.number.0;
            let counted = closures.remove(&number).unwrap_or_default();
            let threads = threads.get(&number).copied().unwrap_or(0);
            counted.pool(runtime, threads)
        })
        .collect()
}

type BySite = HashMap<Option<&'static Location<'static>>, u64>;

#[derive(Default)]
struct Counted {
    running: BySite,
    queued: BySite,
    oldest_ns: u64,
}

impl Counted {
    fn pool(self, runtime: Arc<Runtime>, threads: u64) -> Pool {
        let running: u64 = self.running.values().sum();
        let mut queued: u64 = self.queued.values().sum();
        let mut waiting = self.queued;
        if let Some(all) = queue_of_tokio(&runtime).filter(|all| *all > queued) {
            *waiting.entry(None).or_default() += all - queued;
            queued = all;
        }
        Pool {
            runtime,
            // A thread inside a `block_on` of another runtime is counted there.
            threads: threads.max(running),
            queued,
            oldest: Duration::from_nanos(self.oldest_ns),
            running: most_first(self.running),
            waiting: most_first(waiting),
        }
    }
}

fn most_first(sites: BySite) -> Sites {
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(location, count)| {
        let place = location.map(|at| (at.file(), at.line(), at.column()));
        (std::cmp::Reverse(*count), place)
    });
    sites
}

#[cfg(feature = "rt")]
fn queue_of_tokio(runtime: &Runtime) -> Option<u64> {
    metrics::all()
        .into_iter()
        .find(|numbers| runtimes::by_id(numbers.id) == runtime.number)?
        .blocking_queue
}

#[cfg(not(feature = "rt"))]
fn queue_of_tokio(_: &Runtime) -> Option<u64> {
    None
}
