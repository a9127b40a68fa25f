//! A look at what may be wrong, cheap enough for several a second: a walk over the records, and nothing is kept of the tasks
//! that are well. 100,000 tasks take some 5 ms.

use super::rates::{Foreign, YIELD, waited};
use super::tasks;
use crate::clock::{Scale, Ticks};
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::task::{Kind, View, Waking};
use crate::registry::{join_sets, slab};
use crate::stack::raw::WaitSet;
use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::time::Duration;

/// What a look finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// How many tasks there are.
    pub(crate) tasks: usize,
    /// Tasks by key, if they were to be counted so.
    pub(crate) sites: Vec<SiteTasks>,
    /// How many results of tasks nothing has taken out of their `JoinSet`s, by where these were spawned.
    pub(crate) untaken: HashMap<Location<'static>, u64>,
    /// Polls that last longer than the limit.
    pub(crate) long_polls: Vec<LongPoll>,
    /// Tasks that are polled, or about to be, and were not woken by another task: those that spin are among them.
    pub(crate) busy: Vec<Busy>,
    /// Of each runtime the task that has been ready for longest and is not polled, if for longer than the limit.
    pub(crate) kept_waiting: Vec<KeptWaiting>,
    /// Blocking pools in which a closure has waited for a thread for longer than the limit.
    pub(crate) full_pools: Vec<Trouble>,
    /// Runtimes whose timers and I/O stand still for longer than the limit: filled in by those who know names.
    pub(crate) standstills: Vec<Trouble>,
    /// Cycles of locks, each by one of its members, packed: filled in likewise.
    pub(crate) deadlocks: Vec<u64>,
    /// Tasks that were given a lock and do not take it: filled in likewise.
    pub(crate) futurelocks: Vec<u64>,
}

/// The tasks that are spawned at one place with one type of future.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiteTasks {
    /// Of one place and type, the same.
    pub(crate) key: usize,
    pub(crate) location: Option<&'static Location<'static>>,
    pub(crate) tasks: usize,
}

/// The most stack_keys that are counted, each for itself.
const MOST_SITES: usize = 1024;

/// What has been wrong with a runtime for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) runtime: RuntimeNumber,
    pub(crate) since: Duration,
}

/// A poll that lasts too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongPoll {
    pub(crate) id: u64,
    /// Which of the task's polls; 0 for a foreign task, whose polls are told by their begin.
    pub(crate) poll: u64,
    pub(crate) lasts: Duration,
    /// Of tasks that are spawned at one place with one type of future, the same.
    pub(crate) site: usize,
    /// No other of these is inside of it, such as a local task in the poll of its `block_on`.
    pub(crate) is_innermost: bool,
}

/// A task that does not wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    pub(crate) id: u64,
    pub(crate) polls: u64,
}

/// Nanoseconds after which a task that yielded has been polled again, though its worker had no CPU meanwhile.
const YIELD_AT_MOST: u64 = 50_000_000;

/// The most tasks that are watched for spinning.
const MOST_BUSY: usize = 256;

/// A task that no thread polls though it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptWaiting {
    pub(crate) id: u64,
    pub(crate) since: Duration,
    /// Which does not come round to it.
    pub(crate) runtime: RuntimeNumber,
    /// Of a local task its set; 0 otherwise.
    pub(crate) local_set: u32,
}

/// Looks for what has lasted longer than `limit`, and counts tasks `by_site` if told to. `yields` tells of registrations
/// whether they are no wait.
pub(crate) fn look(
    limit: Duration,
    by_site: bool,
    mut yields: impl FnMut(&'static WaitSet) -> bool,
) -> Look {
    let scale = Scale::now();
    let lasts =
        |since| Some(Duration::from_nanos(scale.since(since))).filter(|lasts| *lasts > limit);
    let mut look = Look::default();
    // What is spawned after this makes fewer of them.
    let mut untaken = join_sets::lens();
    let mut sites: HashMap<usize, SiteTasks> = HashMap::new();
    // Long polls by thread: begin, whether it is no root, which.
    let mut by_thread: HashMap<u32, (Ticks, bool, usize)> = HashMap::new();
    // Of foreign tasks the thread knows which one it polls, and since when at the earliest.
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
            // A task that is alive has no result yet.
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
            // A closure of the blocking pool is there to last, but not to wait for its thread.
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
            // A wrapped future is ready when the task around it is.
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
