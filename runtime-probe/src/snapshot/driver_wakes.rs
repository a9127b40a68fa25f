//! Parked workers that are in a wake by their driver, not in its wait: each is looked at twice before anything is said.
//!
//! A worker that was woken a moment ago and has no CPU may stand in a wake, too. So it must be found there twice, [`LEAST`] apart, with the
//! same time stamp, and must either sleep there or have used the CPU meanwhile. The time between these looks is all that is known
//! of how long the wake has lasted: nothing takes a stamp between the driver's wait and its wakes.

use super::standstill::LEAST;
use crate::ask::thread_stack::{self, Capture};
use crate::primitive::{self, Ordering};
use crate::registry::threads::{Slot, Thread};
use crate::sys::thread_status::{self, Activity, Sleep};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A worker that is in no poll and has taken no stamp for long.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) thread: Thread,
    pub(super) slot: &'static Slot,
    /// The last one, from before it parked or from the last wake of a task.
    pub(super) stamp: u64,
    /// How long ago that was.
    pub(crate) at_most: Duration,
    /// Where in the kernel it slept before it was asked.
    pub(super) sleep: Option<Sleep>,
    pub(crate) capture: Capture,
}

/// How long a found wake is remembered without being found again.
const REMEMBERED: Duration = Duration::from_secs(5);

/// What a computing wake must have used of the CPU since it was found first.
const COMPUTES_NS: u64 = 25_000_000;

/// How often a thread is looked at that may leave the wake.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a thread may take to answer.
const ANSWER: Duration = Duration::from_millis(100);

/// A worker that was found in a wake.
#[derive(Clone, Copy, Debug)]
struct Found {
    stamp: u64,
    first: Instant,
    last: Instant,
    /// What the thread had used of the CPU at first; `None` where the kernel does not tell.
    cpu_ns: Option<u64>,
}

/// By thread number.
static FOUND: Mutex<Option<HashMap<u32, Found>>> = Mutex::new(None);

/// Sleeps that stacks have told to be no wake, by thread number: idle workers are asked once. The same futex at the same stack
/// pointer is the same sleep.
static SLEEPS: Mutex<Option<HashMap<u32, Sleep>>> = Mutex::new(None);

/// Forgets threads that have ended.
pub(super) fn keep(is_alive: impl Fn(u32) -> bool) {
    if let Some(known) = primitive::lock(&SLEEPS).as_mut() {
        known.retain(|thread, _| is_alive(*thread));
    }
}

/// Whether a stack has told of this sleep that it is no wake.
pub(super) fn is_known_to_sleep(thread: u32, sleep: Option<Sleep>) -> bool {
    let known = primitive::lock(&SLEEPS);
    let known = known.as_ref().and_then(|known| known.get(&thread));
    sleep.is_some() && known == sleep.as_ref()
}

/// How long a worker has been in a wake at the least, and what `in_wake` reads from its stack; `None` for one that is in none. Waits for
/// [`LEAST`] where it is found in a wake for the first time.
pub(crate) fn lasting<T>(
    parked: &Parked,
    mut in_wake: impl FnMut(&Capture) -> Option<T>,
) -> Option<(Duration, T)> {
    let number = parked.slot.number().0;
    let read = in_wake(&parked.capture);
    if read.is_none() {
        parked.remember_sleep();
    }
    let found = read.and_then(|read| {
        let (first, cpu_ns, read, activity) = match found_before(number, parked) {
            Some(found) => (found.first, found.cpu_ns, read, parked.capture.activity),
            None => {
                let (first, cpu_ns) = (Instant::now(), thread_status::cpu_ns(parked.thread.tid));
                let again = parked.again()?;
                (first, cpu_ns, in_wake(&again)?, again.activity)
            }
        };
        let used = || {
            let now = thread_status::cpu_ns(parked.thread.tid)?;
            Some(now.saturating_sub(cpu_ns?))
        };
        let stays = match activity {
            Activity::Sleeping => true,
            _ => used().is_some_and(|ns| ns >= COMPUTES_NS),
        };
        stays.then_some((first, cpu_ns, read))
    });
    let Some((first, cpu_ns, read)) = found else {
        if let Some(all) = primitive::lock(&FOUND).as_mut() {
            all.remove(&number);
        }
        return None;
    };
    let last = Instant::now();
    let mut all = primitive::lock(&FOUND);
    let all = all.get_or_insert_default();
    all.retain(|_, found| found.last.elapsed() < REMEMBERED);
    let stamp = parked.stamp;
    let found = Found {
        stamp,
        first,
        last,
        cpu_ns,
    };
    all.insert(number, found);
    Some((last - first, read))
}

fn found_before(number: u32, parked: &Parked) -> Option<Found> {
    let all = primitive::lock(&FOUND);
    let found = all.as_ref()?.get(&number)?;
    (found.stamp == parked.stamp && found.last.elapsed() < REMEMBERED).then_some(*found)
}

impl Parked {
    /// It is in no wake. A sleep in a wake that ended soon MUST NOT be kept: the next one may be as long as it likes.
    fn remember_sleep(&self) {
        let slept = self.capture.activity == Activity::Sleeping;
        if let Some(sleep) = self.sleep.filter(|_| slept) {
            let mut known = primitive::lock(&SLEEPS);
            known
                .get_or_insert_default()
                .insert(self.slot.number().0, sleep);
        }
    }

    /// Its stack after [`LEAST`]; `None` if it has done something else meanwhile.
    fn again(&self) -> Option<Capture> {
        let until = Instant::now() + LEAST;
        while Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
            if self.slot.now.load(Ordering::Relaxed) != self.stamp {
                return None;
            }
        }
        thread_stack::capture(self.thread.tid, Instant::now() + ANSWER).ok()
    }
}
