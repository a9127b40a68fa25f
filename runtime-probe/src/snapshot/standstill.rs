//! Runtimes whose timers and I/O may stand still: none of their workers waits for the system's events, and
//! * a worker is in a long poll, and no worker has done anything since; or
//! * a worker is parked for long: tokio runs the wakers of timers and I/O before the worker counts as unparked.
//!
//! The stacks of the others tell whether they sleep until a worker wakes them, or are in such a wake.

use super::driver_wakes::{self, Parked};
use super::under_way::UnderWay;
use crate::ask::asking::Asking;
use crate::clock::Scale;
use crate::primitive::Ordering;
use crate::registry::runtimes::{self, Runtime};
use crate::registry::task::Kind;
use crate::registry::threads::{self, Role, Slot, Thread};
use crate::sys::thread_status::{self, Sleep};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A healthy worker returns to its timers sooner.
pub(super) const LEAST: Duration = Duration::from_millis(100);

/// The time limit for the stacks of all threads.
const ALL: Duration = Duration::from_millis(500);

/// A runtime without a thread that is known to drive timers and I/O.
#[derive(Debug)]
pub(crate) struct Suspect {
    pub(crate) runtime: Arc<Runtime>,
    /// The time since any worker did anything.
    pub(crate) since: Duration,
    /// Workers in long polls, the longest first.
    pub(crate) stuck: Vec<Stuck>,
    /// The other workers, as far as they have done nothing for long and answer.
    pub(crate) parked: Vec<Parked>,
    /// Whether these are all others, and there are long polls: the runtime stands still if all of these sleep.
    pub(crate) are_all: bool,
}

/// A worker in a long poll.
#[derive(Clone, Debug)]
pub(crate) struct Stuck {
    pub(crate) thread: Thread,
    /// The innermost task that it polls.
    pub(crate) task: u64,
    pub(crate) since: Duration,
}

/// The innermost long poll of each thread, by thread number.
pub(crate) fn long_polls(all: &[UnderWay]) -> HashMap<u32, &UnderWay> {
    let mut polls: HashMap<u32, &UnderWay> = HashMap::new();
    let long = all
        .iter()
        .filter(|one| one.kind != Kind::Blocking && Duration::from_nanos(one.since_ns) >= LEAST);
    for one in long {
        let Some(thread) = one.thread else { continue };
        let innermost = polls.entry(thread.0).or_insert(one);
        // A local task is polled inside of the poll of a root.
        let rank = |one: &UnderWay| (one.kind != Kind::BlockOn, u64::MAX - one.since_ns);
        if rank(one) > rank(innermost) {
            *innermost = one;
        }
    }
    polls
}

/// Finds the runtimes with workers in such polls, or with parked workers.
pub(crate) fn suspects(all: &[UnderWay]) -> Vec<Suspect> {
    let polls = long_polls(all);
    let alive = threads::alive();
    driver_wakes::keep(|thread| alive.contains_key(&thread));
    let mut asking = Asking::within(ALL);
    runtimes_that_drive()
        .filter_map(|runtime| suspect(runtime, &alive, &polls, &mut asking))
        .collect()
}

/// Whether a parked worker may be in a wake by its driver, as told by stamps and the kernel alone: no record is read, and no thread
/// is asked.
pub(crate) fn driver_may_be_held() -> bool {
    let (alive, scale) = (threads::alive(), Scale::now());
    runtimes_that_drive().any(|runtime| {
        let number = u32::from(runtime.number.0);
        let workers = alive.iter().filter(|(_, (_, slot))| {
            slot.runtime.load(Ordering::Relaxed) == number && slot.role() == Role::Worker
        });
        let mut parked = false;
        for (at, (thread, slot)) in workers {
            let sleep = thread_status::sleep(thread.tid);
            if waits_for_events(thread.tid, sleep) {
                return false;
            }
            let stamp = slot.now.load(Ordering::Relaxed);
            let is_stale = Duration::from_nanos(scale.since(stamp)) >= LEAST;
            parked |= is_stale && !driver_wakes::is_known_to_sleep(*at, sleep);
        }
        parked
    })
}

/// A runtime without timers and I/O has no driver.
fn runtimes_that_drive() -> impl Iterator<Item = Arc<Runtime>> {
    let runtimes = runtimes::alive().into_iter();
    runtimes.filter(|runtime| runtime.drives != Some(false))
}

fn waits_for_events(tid: u32, sleep: Option<Sleep>) -> bool {
    match sleep {
        Some(sleep) => sleep.waits_for_events(),
        None => thread_status::wait_channel(tid)
            .is_some_and(|channel| channel.contains("epoll") || channel.contains("ep_poll")),
    }
}

fn suspect(
    runtime: Arc<Runtime>,
    alive: &HashMap<u32, (Thread, &'static Slot)>,
    polls: &HashMap<u32, &UnderWay>,
    asking: &mut Asking,
) -> Option<Suspect> {
    let number = u32::from(runtime.number.0);
    // A worker that has never parked is recognized by its poll of a task.
    let works = |at: &u32, slot: &Slot| {
        let polls_task = || polls.get(at).is_some_and(|poll| poll.kind != Kind::BlockOn);
        slot.role() == Role::Worker || polls_task()
    };
    let workers: Vec<_> = alive
        .iter()
        .filter(|(at, (_, slot))| slot.runtime.load(Ordering::Relaxed) == number && works(at, slot))
        .map(|(at, (thread, slot))| (*at, thread, *slot, slot.now.load(Ordering::Relaxed)))
        .collect();
    let scale = Scale::now();
    let age = |stamp| Duration::from_nanos(scale.since(stamp));
    let since = workers.iter().map(|(.., stamp)| age(*stamp)).min()?;
    let (stuck, others): (Vec<_>, Vec<_>) = workers
        .into_iter()
        .partition(|(at, ..)| polls.contains_key(at));
    let mut are_all = !stuck.is_empty() && since >= LEAST;
    let mut slept = Vec::new();
    for (at, thread, slot, stamp) in others {
        let sleep = thread_status::sleep(thread.tid);
        if waits_for_events(thread.tid, sleep) {
            return None;
        }
        slept.push((at, thread, slot, stamp, sleep));
    }
    let mut parked = Vec::new();
    for (at, thread, slot, stamp, sleep) in slept {
        let is_known = !are_all && driver_wakes::is_known_to_sleep(at, sleep);
        if age(stamp) < LEAST || is_known {
            continue;
        }
        match asking.capture(thread.tid) {
            Ok(capture) => parked.push(Parked {
                thread: thread.clone(),
                slot,
                stamp,
                at_most: age(stamp),
                sleep,
                capture,
            }),
            Err(_) => are_all = false,
        }
    }
    if !are_all && parked.is_empty() {
        return None;
    }
    let mut stuck: Vec<Stuck> = stuck
        .into_iter()
        .map(|(at, thread, ..)| Stuck {
            thread: thread.clone(),
            task: polls[&at].id,
            since: Duration::from_nanos(polls[&at].since_ns),
        })
        .collect();
    stuck.sort_by_key(|one| std::cmp::Reverse(one.since));
    Some(Suspect {
        runtime,
        since,
        stuck,
        parked,
        are_all,
    })
}
