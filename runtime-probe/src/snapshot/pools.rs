//! The blocking pools: how many threads each has, what runs there and what waits. Known without `--cfg tokio_unstable`, as
//! closures and threads are ours to count; what tokio itself runs there (files, names, standard streams) is in its own
//! count of the queue only.

use super::tasks::{State, Tasks, known};
use crate::clock::Scale;
use crate::primitive::Ordering;
use crate::registry::record::Kind;
use crate::registry::runtimes::{self, Runtime, RuntimeNumber};
use crate::registry::slab;
use crate::registry::threads::{self, Role};
#[cfg(feature = "rt")]
use crate::source::metrics;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A closure that has waited for so long found no idle thread, and none could be added: tokio adds one at once.
const STUCK: Duration = Duration::from_millis(100);

/// The pool of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) threads: u64,
    /// Closures that wait for a thread, tokio's own included where it tells.
    pub(crate) queued: u64,
    /// The longest wait of those of ours.
    pub(crate) oldest: Duration,
    /// Where those that wait were spawned, most first; `None` for what tokio spawned.
    pub(crate) sites: Vec<(Option<&'static Location<'static>>, u64)>,
}

impl Pool {
    /// Whether every thread is taken, and closures wait.
    pub(crate) fn is_full(&self) -> bool {
        self.oldest >= STUCK
    }
}

/// All of them, in the order of the runtimes.
pub(crate) fn now() -> Vec<Pool> {
    let scale = Scale::now();
    let mut closures = Closures::default();
    slab::for_each(|record| {
        if record.kind() == Kind::Blocking
            && let Some(view) = known(record)
        {
            let queued = (!view.polling).then(|| scale.since(view.spawned));
            closures.note(view.runtime, view.location, queued);
        }
    });
    closures.by_pool()
}

/// The same of a snapshot.
pub(crate) fn of(tasks: &Tasks) -> Vec<Pool> {
    let mut closures = Closures::default();
    for row in &tasks.rows {
        let place = &tasks.places[row.place as usize];
        if place.kind == Kind::Blocking {
            let queued = (place.state == State::Queued).then_some(row.since_ns);
            let site = tasks.sites.get(row.site as usize);
            closures.note(row.runtime, site.map(|site| site.location), queued);
        }
    }
    closures.by_pool()
}

#[derive(Default)]
struct Closures(HashMap<u16, Counted>);

#[derive(Default)]
struct Counted {
    running: u64,
    queued: HashMap<Option<&'static Location<'static>>, u64>,
    oldest_ns: u64,
}

impl Closures {
    /// `queued` is for how many nanoseconds it has waited, if no thread has taken it.
    fn note(
        &mut self,
        runtime: RuntimeNumber,
        location: Option<&'static Location<'static>>,
        queued: Option<u64>,
    ) {
        let counted = self.0.entry(runtime.0).or_default();
        match queued {
            None => counted.running += 1,
            Some(ns) => {
                *counted.queued.entry(location).or_default() += 1;
                counted.oldest_ns = counted.oldest_ns.max(ns);
            }
        }
    }

    fn by_pool(mut self) -> Vec<Pool> {
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
                let counted = self.0.remove(&number).unwrap_or_default();
                let threads = threads.get(&number).copied().unwrap_or(0);
                counted.pool(runtime, threads)
            })
            .collect()
    }
}

impl Counted {
    fn pool(self, runtime: Arc<Runtime>, threads: u64) -> Pool {
        let mut queued: u64 = self.queued.values().sum();
        let mut sites: Vec<_> = self.queued.into_iter().collect();
        if let Some(all) = queue_of_tokio(&runtime).filter(|all| *all > queued) {
            sites.push((None, all - queued));
            queued = all;
        }
        sites.sort_by_key(|(location, count)| {
            let place = location.map(|at| (at.file(), at.line(), at.column()));
            (std::cmp::Reverse(*count), place)
        });
        Pool {
            runtime,
            // A thread inside a `block_on` of another runtime is counted there.
            threads: threads.max(self.running),
            queued,
            oldest: Duration::from_nanos(self.oldest_ns),
            sites,
        }
    }
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
