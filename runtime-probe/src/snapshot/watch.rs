//! The look of a watchdog, cheap enough for several a second: a walk over the records, without memory for healthy
//! tasks. 100,000 tasks take some 5 ms.

use super::rates::{Foreign, YIELD, waited};
use super::tasks;
use crate::clock::{Scale, Ticks};
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::task::{Kind, View, Waking};
use crate::registry::{join_sets, slab};
use crate::stack::wait_set::WaitSet;
use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::time::Duration;

/// The result of a look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// The number of tasks.
    pub(crate) tasks: usize,
    /// The number of tasks by site, if asked for.
    pub(crate) sites: Vec<SiteTasks>,
    /// The number of results that were not taken out of their `JoinSet`s, by spawn location.
    pub(crate) untaken: HashMap<Location<'static>, u64>,
    /// Polls that last longer than the limit.
    pub(crate) long_polls: Vec<LongPoll>,
    /// Tasks that are polled or ready, and were not woken by another task. Spinning tasks are among them.
    pub(crate) busy: Vec<Busy>,
    /// The task of each runtime that has been ready for longest, if for longer than the limit.
    pub(crate) kept_waiting: Vec<KeptWaiting>,
    /// Blocking pools in which a closure has waited for a thread for longer than the limit.
    pub(crate) full_pools: Vec<Trouble>,
    /// Runtimes whose timers and I/O stand still for longer than the limit. Filled in by the caller, because this needs
    /// names.
    pub(crate) standstills: Vec<Trouble>,
    /// Deadlocks, each by one of its members, packed. Filled in by the caller.
    pub(crate) deadlocks: Vec<u64>,
    /// Tasks that own a lock through a future that they do not poll. Filled in by the caller.
    pub(crate) futurelocks: Vec<u64>,
}

/// The tasks of one spawn location and type of future.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiteTasks {
    /// An identity of location and type.
    pub(crate) key: usize,
    pub(crate) location: Option<&'static Location<'static>>,
    pub(crate) tasks: usize,
}

/// The most sites that are counted.
const MOST_SITES: usize = 1024;

/// A trouble of a runtime, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) runtime: RuntimeNumber,
    pub(crate) since: Duration,
}

/// A poll that lasts too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongPoll {
    pub(crate) id: u64,
    /// The number of the poll; of a foreign task, its begin.
    pub(crate) poll: u64,
    pub(crate) lasts: Duration,
    /// An identity of spawn location and type of future.
    pub(crate) site: usize,
    /// Whether no other long poll is inside of it, such as that of a local task inside of its `block_on`.
    pub(crate) is_innermost: bool,
}

/// A task that does not wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    pub(crate) id: u64,
    pub(crate) polls: u64,
}

/// The most nanoseconds until a yielding task is polled again, even if its worker had no CPU meanwhile.
const YIELD_AT_MOST: u64 = 50_000_000;

/// The most tasks that are watched for spinning.
const MOST_BUSY: usize = 256;

/// A ready task that is not polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptWaiting {
    pub(crate) id: u64,
    pub(crate) since: Duration,
    /// The runtime that does not poll it.
    pub(crate) runtime: RuntimeNumber,
    /// The set of a local task; 0 otherwise.
    pub(crate) local_set: u32,
}

/// Takes a look. Finds everything that has lasted longer than `limit`, and counts tasks by site if `by_site`. `yields`
/// tells whether registrations are a yield and no wait.
pub(crate) fn look(
    limit: Duration,
    by_site: bool,
    mut yields: impl FnMut(&'static WaitSet) -> bool,
) -> Look {
    let scale = Scale::now();
    let lasts =
        |since| Some(Duration::from_nanos(scale.since(since))).filter(|lasts| *lasts > limit);
    let mut look = Look::default();
    // Read before the records: tasks that are spawned in between make the difference smaller.
    let mut untaken = join_sets::lens();
    let mut sites: HashMap<usize, SiteTasks> = HashMap::new();
    // Long polls by thread: (begin, whether it is no root, index).
    let mut by_thread: HashMap<u32, (Ticks, bool, usize)> = HashMap::new();
    // Foreign tasks that are being polled are known by their threads.
    let foreign = Foreign::now();
    let mut kept_waiting: HashMap<RuntimeNumber, KeptWaiting> = HashMap::new();
    // By runtime.
    let mut queued: BTreeMap<u16, Duration> = BTreeMap::new();
    slab::for_each(|record| {
        let Some(view) = tasks::known(record) else {
            return;
        };
        look.tasks += 1;
        if by_site {
            let key = site(&view);
            if let Some(known) = sites.get_mut(&key) {
                known.tasks += 1;
            } else if sites.len() < MOST_SITES {
                let tasks = SiteTasks {
                    key,
                    location: view.location,
                    tasks: 1,
                };
                sites.insert(key, tasks);
            }
        }
        if let Some(len) = view.location.and_then(|location| untaken.get_mut(location)) {
            // A live task has no result yet.
            *len = len.saturating_sub(1);
        }
        let by_another = matches!(view.woken, Some((_, Waking::Task(id))) if id != view.id);
        if look.busy.len() < MOST_BUSY
            && !by_another
            && let Some(ns) = waited(&view, &scale, &foreign)
            && (ns == 0
                || match view.waits {
                    None => ns < YIELD,
                    Some(waits) => ns < YIELD_AT_MOST && yields(waits),
                })
        {
            look.busy.push(Busy {
                id: view.id,
                polls: view.polls,
            });
        }
        match view.kind {
            Kind::Foreign => {
                look.long_polls
                    .extend(foreign.polled_since(view.id).and_then(|begun| {
                        let since = view.since.max(begun);
                        Some(LongPoll {
                            id: view.id,
                            poll: since,
                            lasts: lasts(since)?,
                            site: site(&view),
                            is_innermost: true,
                        })
                    }));
            }
            // A closure of the blocking pool may run long, but should not wait long for its thread.
            Kind::Blocking if view.polling => {}
            Kind::Blocking => {
                if let Some(since) = lasts(view.spawned) {
                    let longest = queued.entry(view.runtime.0).or_default();
                    *longest = since.max(*longest);
                }
            }
            _ if view.polling => {
                let Some(lasts) = lasts(view.since) else {
                    return;
                };
                let this = (
                    view.since,
                    view.kind != Kind::BlockOn,
                    look.long_polls.len(),
                );
                let innermost = by_thread.entry(view.worker.0).or_insert(this);
                *innermost = this.max(*innermost);
                look.long_polls.push(LongPoll {
                    id: view.id,
                    poll: view.polls,
                    lasts,
                    site: site(&view),
                    is_innermost: false,
                });
            }
            // A nested future is ready only together with the task around it.
            Kind::Nested if view.outer != 0 => {}
            _ => {
                let ready = view.woken.and_then(|(at, _)| lasts(at.max(view.since)));
                let longest = kept_waiting.get(&view.runtime);
                let longest = longest.map_or(Duration::ZERO, |task| task.since);
                if let Some(since) = ready.filter(|since| *since > longest) {
                    let (id, runtime) = (view.id, view.runtime);
                    let task = KeptWaiting {
                        id,
                        since,
                        runtime,
                        local_set: view.local_set,
                    };
                    kept_waiting.insert(runtime, task);
                }
            }
        }
    });
    let full = queued.into_iter().map(|(runtime, since)| Trouble {
        runtime: RuntimeNumber(runtime),
        since,
    });
    look.full_pools = full.collect();
    look.kept_waiting = kept_waiting.into_values().collect();
    look.untaken = untaken;
    look.sites = sites.into_values().collect();
    for (_, _, at) in by_thread.into_values() {
        look.long_polls[at].is_innermost = true;
    }
    look
}

fn site(view: &View) -> usize {
    let location = view.location.map_or(0, |at| std::ptr::from_ref(at).addr());
    let future = view.meta.map_or(0, |meta| std::ptr::from_ref(meta).addr());
    location ^ future.rotate_left(32)
}
