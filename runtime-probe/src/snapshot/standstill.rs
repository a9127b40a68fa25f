//! Runtimes whose timers and I/O may stand still: a worker is in a long poll, no worker has done anything since, and
//! none waits for the system's events. The stacks of the others tell whether they sleep until a worker wakes them.

use super::under_way::UnderWay;
use crate::ask::asking::Asking;
use crate::ask::thread_stack::Capture;
use crate::clock::Scale;
use crate::primitive::Ordering;
use crate::registry::runtimes::{self, Runtime};
use crate::registry::task::Kind;
use crate::registry::threads::{self, Role, Slot, Thread};
use crate::sys::thread_status;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A healthy worker returns to its timers sooner.
const LEAST: Duration = Duration::from_millis(100);

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
    /// The stacks of the other workers.
    pub(crate) asleep: Vec<Capture>,
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

/// Finds the runtimes with workers in such polls.
pub(crate) fn suspects(all: &[UnderWay]) -> Vec<Suspect> {
    let polls = long_polls(all);
    if polls.is_empty() {
        return Vec::new();
    }
    let alive = threads::alive();
    let mut asking = Asking::within(ALL);
    let runtimes = runtimes::alive().into_iter();
    // A runtime without timers and I/O has no driver.
    let runtimes = runtimes.filter(|runtime| runtime.drives != Some(false));
    runtimes
        .filter_map(|runtime| suspect(runtime, &alive, &polls, &mut asking))
        .collect()
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
        .collect();
    let scale = Scale::now();
    let stamps = workers
        .iter()
        .map(|(_, (_, slot))| scale.since(slot.now.load(Ordering::Relaxed)));
    let since = Duration::from_nanos(stamps.min()?);
    let (stuck, others): (Vec<_>, Vec<_>) = workers
        .into_iter()
        .partition(|(at, _)| polls.contains_key(at));
    if stuck.is_empty() || since < LEAST {
        return None;
    }
    let mut asleep = Vec::new();
    for (_, (thread, _)) in others {
        let waits_for_events = thread_status::wait_channel(thread.tid)
            .is_some_and(|channel| channel.contains("epoll") || channel.contains("ep_poll"));
        if waits_for_events {
            return None;
        }
        asleep.push(asking.capture(thread.tid).ok()?);
    }
    let mut stuck: Vec<Stuck> = stuck
        .into_iter()
        .map(|(at, (thread, _))| Stuck {
            thread: thread.clone(),
            task: polls[at].id,
            since: Duration::from_nanos(polls[at].since_ns),
        })
        .collect();
    stuck.sort_by_key(|one| std::cmp::Reverse(one.since));
    Some(Suspect {
        runtime,
        since,
        stuck,
        asleep,
    })
}
