//! What is switched on: permanently, or for as long as a [`Lease`] lives.
//!
//! One word says what is on. A poll loads it only if its thread's slot says that anything is ([`Slot::is_plain`]).
//!
//! [`Slot::is_plain`]: threads::Slot::is_plain

use crate::clock::{Scale, Ticks};
use crate::primitive::{self, AtomicU64, Ordering};
use crate::registry::threads::{self, Reasons};
use crate::sampling::{self, Weight};
use crate::tally::task_times;
use std::sync::atomic::AtomicI64;
use std::sync::{Mutex, MutexGuard};

/// What can be switched on, each at a rate: 1 keeps every event, a larger rate keeps fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Samples of waits: one for each `rate` nanoseconds of waiting.
    Waits,
    /// Samples of the releases of locks that others wait for: one for each `rate` releases.
    Releases,
    /// Lengths of the polls of single tasks ([`crate::tally::poll_times`]); no rate but 1.
    PollTimes,
    /// Times of the tasks of each site ([`task_times`]); no rate but 1.
    TaskTimes,
    /// The total ready time of each task; no rate but 1.
    ReadyTimes,
    /// An execution trace: polls, wakes and spawns by thread; no rate but 1.
    Trace,
}

const DEMANDS: usize = 6;

/// The bits of [`WORD`] for demands without a rate. The bits below are the rate of [`Demand::Waits`], in ticks.
const POLL_TIMES: u64 = 1 << 63;
const TASK_TIMES: u64 = 1 << 62;
const READY_TIMES: u64 = 1 << 61;
const TRACE: u64 = 1 << 60;
const TIMES: u64 = POLL_TIMES | TASK_TIMES | READY_TIMES;
const SWITCHES: u64 = TIMES | TRACE;

/// The rates that were asked for, of one demand.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// The rate that was set permanently; 0 for none.
    base: i64,
    /// How many leases there are.
    leases: usize,
    /// The finest rate of a lease since there was none.
    finest: Option<i64>,
}

impl Wanted {
    const NOTHING: Wanted = Wanted {
        base: 0,
        leases: 0,
        finest: None,
    };

    fn in_force(&self) -> i64 {
        let wanted = [Some(self.base), self.finest];
        let on = wanted.into_iter().flatten().filter(|rate| *rate > 0);
        on.min().unwrap_or(0)
    }
}

/// By demand. Locked by every change, and by no poll.
static WANTED: Mutex<[Wanted; DEMANDS]> = Mutex::new([Wanted::NOTHING; DEMANDS]);

fn wanted() -> MutexGuard<'static, [Wanted; DEMANDS]> {
    primitive::lock(&WANTED)
}

/// The word that polls load. Written under the lock of [`WANTED`].
static WORD: AtomicU64 = AtomicU64::new(0);
/// When the sampling of waits began. Waits that began before are not counted, as in Go.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// The rate of [`Demand::Waits`] as it was asked for.
static RATE_NS: AtomicI64 = AtomicI64::new(0);
/// The rate of [`Demand::Releases`]; 0 is off.
static RELEASES: AtomicU64 = AtomicU64::new(0);

/// The bits of an `f64`: nanoseconds per tick. It is measured when a rate is set and applied to each event, so sums do
/// not change when a later measurement is more exact.
static NS_PER_TICK: AtomicU64 = AtomicU64::new(0);

/// The reasons that a word gives to the slots of threads.
fn reasons(word: u64) -> Reasons {
    let [nothing, demanded, traced] = [Reasons::default(), Reasons::DEMANDED, Reasons::TRACED];
    let demanded = if word & !TRACE != 0 {
        demanded
    } else {
        nothing
    };
    let traced = if word & TRACE != 0 { traced } else { nothing };
    demanded.and(traced)
}

/// Whether anything that concerns polls is on.
#[inline(always)]
pub(crate) fn any() -> bool {
    WORD.load(Ordering::Relaxed) != 0
}

/// Whether anything but the trace is on.
#[inline(always)]
pub(crate) fn any_but_a_trace() -> bool {
    WORD.load(Ordering::Relaxed) & !TRACE != 0
}

/// Whether a poll has to record times.
pub(crate) fn any_times() -> bool {
    WORD.load(Ordering::Relaxed) & TIMES != 0
}

impl Demand {
    /// The bits of [`WORD`] for this demand.
    fn bits(self) -> u64 {
        match self {
            Demand::Waits => !SWITCHES,
            Demand::Releases => 0,
            Demand::PollTimes => POLL_TIMES,
            Demand::TaskTimes => TASK_TIMES,
            Demand::ReadyTimes => READY_TIMES,
            Demand::Trace => TRACE,
        }
    }

    /// Whether it is on.
    #[inline(always)]
    pub(crate) fn is_on(self) -> bool {
        match self {
            Demand::Releases => RELEASES.load(Ordering::Relaxed) != 0,
            // Acquire: pairs with the Release in `apply`; a poll that sees the bit sees what was prepared for it.
            _ => WORD.load(Ordering::Acquire) & self.bits() != 0,
        }
    }

    /// The rate in force; 0 is off.
    pub(crate) fn rate(self) -> i64 {
        match self {
            Demand::Waits => RATE_NS.load(Ordering::Relaxed),
            Demand::Releases => RELEASES.load(Ordering::Relaxed) as i64,
            _ => self.is_on().into(),
        }
    }

    /// Sets the permanent rate; 0 or less switches it off. Returns the previous one.
    pub(crate) fn set(self, rate: i64) -> i64 {
        self.change(|wanted| std::mem::replace(&mut wanted.base, rate.max(0)))
    }

    /// The rate of the last [`Demand::set`].
    pub(crate) fn for_good(self) -> i64 {
        wanted()[self as usize].base
    }

    /// Changes the rates that were asked for, and puts the finest in force.
    fn change<R>(self, change: impl FnOnce(&mut Wanted) -> R) -> R {
        let mut wanted = wanted();
        let wanted = &mut wanted[self as usize];
        let result = change(wanted);
        self.apply(wanted.in_force());
        result
    }

    /// Puts a rate in force, under the lock.
    fn apply(self, rate: i64) {
        let scale = (rate != 0).then(Scale::now);
        if let Some(scale) = &scale {
            NS_PER_TICK.store(scale.ns_per_tick().to_bits(), Ordering::Relaxed);
        }
        let before = WORD.load(Ordering::Relaxed);
        let was_on = before & self.bits() != 0;
        let bits = match self {
            Demand::Waits => {
                if !was_on {
                    SINCE.store(crate::clock::ticks(), Ordering::Relaxed);
                }
                RATE_NS.store(rate, Ordering::Relaxed);
                scale.map_or(0, |scale| match rate {
                    1 => 1,
                    // Far beyond any wait, and below the switches.
                    ns => scale.ticks(ns as u64).clamp(1, !SWITCHES >> 2),
                })
            }
            Demand::Releases => {
                // Release: an unlock that sees the rate sees [`NS_PER_TICK`].
                return RELEASES.store(rate as u64, Ordering::Release);
            }
            _ if rate == 0 => 0,
            Demand::TaskTimes => {
                if !was_on {
                    task_times::begin_recording();
                }
                TASK_TIMES
            }
            Demand::PollTimes | Demand::ReadyTimes | Demand::Trace => self.bits(),
        };
        // Release: a poll that sees the word sees [`SINCE`] and the recording.
        let word = before & !self.bits() | bits;
        WORD.store(word, Ordering::Release);
        if reasons(word) != reasons(before) {
            threads::set_reasons(reasons(word));
        }
        #[cfg(all(feature = "interpose", target_os = "linux"))]
        if matches!(self, Demand::Waits | Demand::Trace) {
            crate::sys::futex::set_watched(word & !TIMES != 0);
        }
    }
}

/// A demand that ends when this is dropped. The finest rate of all leases and of the permanent rate is in force until
/// the last lease ends, so no lease gets fewer samples than it asked for.
#[derive(Debug)]
#[must_use = "the demand ends with this"]
pub(crate) struct Lease(Demand);

impl Lease {
    /// Switches the demand on at a rate.
    pub(crate) fn take(demand: Demand, rate: i64) -> Self {
        demand.change(|wanted| {
            wanted.leases += 1;
            wanted.finest = Some(wanted.finest.map_or(rate, |finest| finest.min(rate)));
        });
        Lease(demand)
    }

    /// Switches the demand on for all events.
    pub(crate) fn of_all(demand: Demand) -> Self {
        Lease::take(demand, 1)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.change(|wanted| {
            wanted.leases -= 1;
            if wanted.leases == 0 {
                wanted.finest = None;
            }
        });
    }
}

/// A wait is over, or a part of it. The weight of its sample, if it is kept. The delay is in nanoseconds.
#[inline]
pub(crate) fn sample_wait(began: Ticks, ended: Ticks) -> Option<Weight> {
    let rate = WORD.load(Ordering::Acquire) & !SWITCHES;
    if rate == 0 || began < SINCE.load(Ordering::Relaxed) {
        return None;
    }
    let weight = sampling::wait(ended.saturating_sub(began), rate, sampling::random)?;
    Some(in_nanoseconds(weight))
}

/// A lock was released after others had waited for it. The weight of its sample, if it is kept. The delay is in
/// nanoseconds.
#[cfg(feature = "sync")]
pub(crate) fn sample_release(waited: Ticks) -> Option<Weight> {
    let rate = RELEASES.load(Ordering::Acquire);
    sampling::unlock(waited, rate, sampling::random).map(in_nanoseconds)
}

fn in_nanoseconds(weight: Weight) -> Weight {
    let ns_per_tick = f64::from_bits(NS_PER_TICK.load(Ordering::Relaxed));
    Weight {
        delay: weight.delay * ns_per_tick,
        ..weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only test that touches the rates of the process.
    #[test]
    fn the_finest_rate_holds_until_the_last_lease_ends() {
        crate::clock::init();
        for demand in [Demand::Waits, Demand::Releases] {
            demand.set(1_000_000);
            let coarse = Lease::take(demand, 2_000_000);
            assert_eq!(demand.rate(), 1_000_000);
            let fine = Lease::take(demand, 10_000);
            assert_eq!(demand.rate(), 10_000);
            drop(fine);
            assert_eq!(demand.rate(), 10_000, "another lease may count on it");
            assert_eq!(demand.set(500), 1_000_000, "leases are not set for good");
            assert_eq!(demand.rate(), 500);
            demand.set(-1);
            assert_eq!(demand.rate(), 10_000);
            assert_eq!(demand.for_good(), 0);
            drop(coarse);
            assert_eq!((demand.rate(), demand.is_on()), (0, false));
        }
        let before = task_times::recording();
        let is_plain = || {
            let own = threads::slot();
            let other = std::thread::spawn(|| threads::slot().is_plain());
            (own.is_plain(), other.join().unwrap())
        };
        assert_eq!(is_plain(), (true, true));
        let both = [Demand::TaskTimes, Demand::ReadyTimes].map(Lease::of_all);
        assert!(any() && any_times());
        assert_eq!(is_plain(), (false, false), "each thread knows");
        assert_eq!(task_times::recording(), before + 1);
        assert!(!Demand::Waits.is_on() && !Demand::PollTimes.is_on());
        let again = Lease::of_all(Demand::TaskTimes);
        drop(both);
        assert!(Demand::TaskTimes.is_on() && !Demand::ReadyTimes.is_on());
        assert_eq!(task_times::recording(), before + 1, "it has gone on");
        drop(again);
        assert!(!any_times());
        assert_eq!(is_plain(), (true, true));
    }
}
