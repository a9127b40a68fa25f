//! Waits that are over, by place: how many, and how long in all, since the start of the process.
//!
//! A place is what a task registered with, as it was captured: a pointer, so that an event costs a look-up and two
//! additions. Names, reasons and what belongs together are found when somebody reads.
//!
//! Written from inside polls and wakes, so nothing here blocks or calls out. Bounded: over the bound an event goes to
//! the place [`Place::ELSEWHERE`], and no time is lost.

use crate::clock::{Scale, Ticks};
use crate::primitive::{AtomicU64, Ordering};
use crate::sampling::{self, Weight};
use crate::stack::intern::Intern;
use crate::stack::raw::{WaitSet, mix};
use std::panic::Location;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

/// At most this many places are kept apart: 80 B each, so 5 MB.
const MOST_PLACES: usize = 1 << 16;

/// Where something happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) waits: Option<&'static WaitSet>,
    /// For a nested future, what the task around it was waiting for.
    pub(crate) around: Option<&'static WaitSet>,
    /// Where the task was spawned, if nothing else is known.
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) how: How,
}

/// What waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A task, which left its thread to others.
    Suspended,
    /// A thread that polls no task of ours.
    #[cfg_attr(
        not(any(feature = "sync", feature = "interpose")),
        expect(dead_code, reason = "threads are not seen")
    )]
    Thread,
    /// A thread in the middle of polling a task of ours, which the others of that worker had to wait for, too.
    #[cfg_attr(
        not(any(feature = "sync", feature = "interpose")),
        expect(dead_code, reason = "threads are not seen")
    )]
    Worker,
}

impl Place {
    /// What found the table full.
    pub(crate) const ELSEWHERE: Place = Place {
        waits: None,
        around: None,
        spawned_at: None,
        how: How::Suspended,
    };

    /// What two equal places share.
    pub(crate) fn addresses(&self) -> [usize; 4] {
        let of =
            |set: Option<&'static WaitSet>| set.map_or(0, |set| std::ptr::from_ref(set).addr());
        let spawned_at = self.spawned_at;
        [
            of(self.waits),
            of(self.around),
            spawned_at.map_or(0, |location| std::ptr::from_ref(location).addr()),
            self.how as usize,
        ]
    }
}

/// What one place adds up to.
#[derive(Debug)]
struct Counter {
    place: Place,
    /// Of two `f64`, the bits: a weight may stand for a fraction of an event. The delay is in nanoseconds.
    count: AtomicU64,
    delay: AtomicU64,
}

impl Counter {
    const fn new(place: Place) -> Self {
        Counter {
            place,
            count: AtomicU64::new(0),
            delay: AtomicU64::new(0),
        }
    }

    fn add(&self, weight: Weight) {
        add(&self.count, weight.count);
        add(&self.delay, weight.delay);
    }

    fn total(&self) -> Total {
        let load = |word: &AtomicU64| f64::from_bits(word.load(Ordering::Relaxed));
        Total {
            place: self.place,
            count: load(&self.count),
            delay_ns: load(&self.delay),
        }
    }
}

fn add(word: &AtomicU64, more: f64) {
    let mut bits = word.load(Ordering::Relaxed);
    while let Err(newer) = word.compare_exchange_weak(
        bits,
        (f64::from_bits(bits) + more).to_bits(),
        Ordering::Relaxed,
        Ordering::Relaxed,
    ) {
        bits = newer;
    }
}

/// What a place has added up to, read at one moment. Count and delay may be of two neighbouring moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    pub(crate) place: Place,
    pub(crate) count: f64,
    pub(crate) delay_ns: f64,
}

/// A table of places.
pub(crate) struct Contentions {
    places: Intern<Counter, { 1 << 12 }>,
    elsewhere: Counter,
}

/// Waits that tasks made.
pub(crate) static BLOCK: Contentions = Contentions::new();
/// Waits for locks, where these were released.
pub(crate) static MUTEX: Contentions = Contentions::new();

impl Contentions {
    const fn new() -> Self {
        Contentions {
            places: Intern::new(MOST_PLACES),
            elsewhere: Counter::new(Place::ELSEWHERE),
        }
    }

    /// Adds an event, its delay in nanoseconds.
    pub(crate) fn add(&self, place: Place, weight: Weight) {
        let addresses = place.addresses();
        let hash = addresses
            .iter()
            .fold(0, |hash, word| mix(hash, *word as u64));
        let is = |other: &Counter| other.place.addresses() == addresses;
        self.places
            .intern(hash, is, || Counter::new(place))
            .unwrap_or(&self.elsewhere)
            .add(weight);
    }

    /// Everything so far, in no particular order.
    pub(crate) fn totals(&self) -> impl Iterator<Item = Total> {
        self.places
            .iter()
            .map(Counter::total)
            .chain(std::iter::once(self.elsewhere.total()))
            .filter(|total| total.delay_ns > 0.0)
    }
}

/// How finely events are sampled, and who wants it so: 0 is off, 1 takes everything, and the smaller the finer.
#[derive(Debug)]
struct Rates {
    /// As set for good.
    base: i64,
    /// How many want it finer for a while, and the finest of these wishes since there was none.
    leases: usize,
    finest: Option<i64>,
}

impl Rates {
    const fn new() -> Self {
        Rates {
            base: 0,
            leases: 0,
            finest: None,
        }
    }

    fn in_force(&self) -> i64 {
        let wanted = [Some(self.base), self.finest];
        let on = wanted.into_iter().flatten().filter(|rate| *rate > 0);
        on.min().unwrap_or(0)
    }

    fn lease(&mut self, rate: i64) {
        self.leases += 1;
        self.finest = Some(self.finest.map_or(rate, |finest| finest.min(rate)));
    }

    fn end_lease(&mut self) {
        self.leases -= 1;
        if self.leases == 0 {
            self.finest = None;
        }
    }
}

/// What is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampled {
    /// Waits of tasks; the rate is nanoseconds of waiting for each sample.
    Block,
    /// Releases of locks; the rate is releases for each sample.
    Mutex,
}

static BLOCK_RATES: Mutex<Rates> = Mutex::new(Rates::new());
static MUTEX_RATES: Mutex<Rates> = Mutex::new(Rates::new());

/// What else is asked of polls, as bits of [`RATE`]: one word, so that a poll has one question for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Switch {
    /// Somebody watches the polls of a task ([`super::poll_times`]).
    PollsWatched = 1 << 63,
    /// Somebody wants the times of all tasks ([`super::task_times`]).
    TasksTimed = 1 << 62,
    /// Somebody wants to know how long each task was ready in all ([`super::delays`]).
    DelaysSummed = 1 << 61,
}

const SWITCHES: u64 =
    Switch::PollsWatched as u64 | Switch::TasksTimed as u64 | Switch::DelaysSummed as u64;
/// Beside the switches: one sample for each so many ticks of waiting; 0 is off. Written under the lock of [`BLOCK_RATES`].
static RATE: AtomicU64 = AtomicU64::new(0);
/// When sampling began: waits that began before are not counted, as in Go.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// The same as the user set it.
static RATE_NS: AtomicI64 = AtomicI64::new(0);
/// One sample for each so many releases of locks; 0 is off.
static FRACTION: AtomicU64 = AtomicU64::new(0);

/// An `f64`, the bits: what turns ticks into nanoseconds. It is learned when a rate is set and applied to events as they
/// come: what has been added up never changes with a better knowledge of it.
static NS_PER_TICK: AtomicU64 = AtomicU64::new(0);

impl Sampled {
    /// Changes who wants what, and puts the finest wish in force.
    fn change<R>(self, change: impl FnOnce(&mut Rates) -> R) -> R {
        let rates = match self {
            Sampled::Block => &BLOCK_RATES,
            Sampled::Mutex => &MUTEX_RATES,
        };
        let mut rates = rates
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let result = change(&mut rates);
        let rate = rates.in_force();
        let scale = (rate != 0).then(Scale::now);
        if let Some(scale) = &scale {
            NS_PER_TICK.store(scale.ns_per_tick().to_bits(), Ordering::Relaxed);
        }
        match self {
            Sampled::Block => {
                let ticks = scale.map_or(0, |scale| match rate {
                    1 => 1,
                    // Far beyond any wait, and below the switches.
                    ns => scale.ticks(ns as u64).clamp(1, !SWITCHES >> 2),
                });
                let before = RATE.load(Ordering::Relaxed);
                if before & !SWITCHES == 0 {
                    SINCE.store(crate::clock::ticks(), Ordering::Relaxed);
                }
                RATE_NS.store(rate, Ordering::Relaxed);
                // Release: whoever sees the rate sees since when.
                RATE.store(ticks | before & SWITCHES, Ordering::Release);
                #[cfg(all(feature = "interpose", target_os = "linux"))]
                crate::sys::futex::set_watched(ticks != 0);
            }
            // Release: whoever sees the fraction sees how long a tick is.
            Sampled::Mutex => FRACTION.store(rate as u64, Ordering::Release),
        }
        result
    }

    /// Sets the rate for good, 0 or less for nothing. Returns what was set for good before.
    pub(crate) fn set_rate(self, rate: i64) -> i64 {
        self.change(|rates| std::mem::replace(&mut rates.base, rate.max(0)))
    }

    /// What [`Sampled::set_rate`] was told last.
    pub(crate) fn set_for_good(self) -> i64 {
        self.change(|rates| rates.base)
    }

    /// The rate in force; 0 is off.
    pub(crate) fn rate(self) -> i64 {
        match self {
            Sampled::Block => RATE_NS.load(Ordering::Relaxed),
            Sampled::Mutex => FRACTION.load(Ordering::Relaxed) as i64,
        }
    }
}

/// Whether anything of it is on.
#[inline(always)]
pub(crate) fn is_noting() -> bool {
    RATE.load(Ordering::Relaxed) != 0
}

/// Whether waits are sampled.
pub(crate) fn is_block_on() -> bool {
    RATE.load(Ordering::Relaxed) & !SWITCHES != 0
}

/// Whether a poll has to tell its times.
pub(crate) fn is_timing() -> bool {
    RATE.load(Ordering::Relaxed) & SWITCHES != 0
}

/// Whether that is on.
pub(crate) fn is_set(switch: Switch) -> bool {
    // Acquire: pairs with the Release in `set`; whoever sees a switch sees what was prepared for it.
    RATE.load(Ordering::Acquire) & switch as u64 != 0
}

/// Switches that on, or off.
pub(super) fn set(switch: Switch, on: bool) {
    let _rates = BLOCK_RATES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let rate = RATE.load(Ordering::Relaxed) & !(switch as u64);
    let bit = if on { switch as u64 } else { 0 };
    RATE.store(rate | bit, Ordering::Release);
}

/// Whether releases of locks are sampled.
#[cfg(feature = "sync")]
pub(crate) fn is_mutex_on() -> bool {
    FRACTION.load(Ordering::Relaxed) != 0
}

/// A rate for a while. Of several, and of what is set for good, the finest is in force until the last one ends: nobody
/// gets fewer samples than he asked for.
#[derive(Debug)]
#[must_use = "the rate ends with this"]
pub(crate) struct Lease(Sampled);

impl Lease {
    pub(crate) fn take(sampled: Sampled, rate: i64) -> Self {
        sampled.change(|rates| rates.lease(rate));
        Lease(sampled)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.change(Rates::end_lease);
    }
}

/// A wait is over, or a part of it: whether, and for how many, that is kept.
#[inline]
pub(crate) fn sample_wait(began: Ticks, ended: Ticks) -> Option<Weight> {
    let rate = RATE.load(Ordering::Acquire) & !SWITCHES;
    if rate == 0 || began < SINCE.load(Ordering::Relaxed) {
        return None;
    }
    let weight = sampling::wait(ended.saturating_sub(began), rate, sampling::random)?;
    let ns_per_tick = f64::from_bits(NS_PER_TICK.load(Ordering::Relaxed));
    let delay = weight.delay * ns_per_tick;
    Some(Weight { delay, ..weight })
}

/// Adds what was kept of it.
pub(crate) fn add_wait(weight: Weight, place: Place) {
    BLOCK.add(place, weight);
}

/// A lock was released for which others had waited so long: whether, and for how many, that is kept.
#[cfg(feature = "sync")]
pub(crate) fn sample_unlock(waited: Ticks) -> Option<Weight> {
    let weight = sampling::unlock(waited, FRACTION.load(Ordering::Acquire), sampling::random)?;
    let ns_per_tick = f64::from_bits(NS_PER_TICK.load(Ordering::Relaxed));
    let delay = weight.delay * ns_per_tick;
    Some(Weight { delay, ..weight })
}

/// Adds what was kept of it.
#[cfg(feature = "sync")]
pub(crate) fn note_unlock(weight: Weight, place: Place) {
    MUTEX.add(place, weight);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Places that differ by where the task was spawned.
    fn place(number: usize) -> Place {
        static LOCATIONS: Mutex<Vec<&'static Location<'static>>> = Mutex::new(Vec::new());
        let mut locations = LOCATIONS.lock().unwrap();
        while locations.len() <= number {
            locations.push(Box::leak(Box::new(*Location::caller())));
        }
        Place {
            spawned_at: Some(locations[number]),
            ..Place::ELSEWHERE
        }
    }

    proptest::proptest! {
        #[test]
        fn totals_are_sums(events in proptest::collection::vec((0usize..20, 1u32..1000), 0..200)) {
            let table = Contentions::new();
            let mut model: HashMap<[usize; 4], (f64, f64)> = HashMap::new();
            for (number, delay) in events {
                let place = place(number);
                table.add(place, Weight { count: 1.0, delay: delay.into() });
                let sum = model.entry(place.addresses()).or_default();
                *sum = (sum.0 + 1.0, sum.1 + f64::from(delay));
            }
            let totals: HashMap<_, _> = table
                .totals()
                .map(|total| (total.place.addresses(), (total.count, total.delay_ns)))
                .collect();
            proptest::prop_assert_eq!(totals, model);
        }
    }

    #[test]
    fn no_event_is_lost_between_threads() {
        let table = Contentions::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..10_000 {
                        table.add(
                            place(number % 3),
                            Weight {
                                count: 1.0,
                                delay: 2.0,
                            },
                        );
                    }
                });
            }
        });
        let (count, delay) = table.totals().fold((0.0, 0.0), |(count, delay), total| {
            (count + total.count, delay + total.delay_ns)
        });
        assert_eq!((count, delay), (40_000.0, 80_000.0));
    }

    #[test]
    fn a_full_table_keeps_the_time() {
        let table = Contentions {
            places: Intern::new(2),
            elsewhere: Counter::new(Place::ELSEWHERE),
        };
        for number in 0..10 {
            table.add(
                place(number),
                Weight {
                    count: 1.0,
                    delay: 5.0,
                },
            );
        }
        let elsewhere = table
            .totals()
            .find(|total| total.place.addresses() == [0; 4]);
        assert_eq!(
            elsewhere.map(|total| (total.count, total.delay_ns)),
            Some((8.0, 40.0))
        );
        assert_eq!(table.totals().count(), 3);
    }

    /// The only test that touches the rates of the process.
    #[test]
    fn the_finest_rate_holds_until_the_last_lease_ends() {
        crate::clock::init();
        for sampled in [Sampled::Block, Sampled::Mutex] {
            sampled.set_rate(1_000_000);
            let coarse = Lease::take(sampled, 2_000_000);
            assert_eq!(sampled.rate(), 1_000_000);
            let fine = Lease::take(sampled, 10_000);
            assert_eq!(sampled.rate(), 10_000);
            drop(fine);
            assert_eq!(sampled.rate(), 10_000, "somebody may still count on it");
            assert_eq!(
                sampled.set_rate(500),
                1_000_000,
                "leases are not set for good"
            );
            assert_eq!(sampled.rate(), 500);
            sampled.set_rate(-1);
            assert_eq!(sampled.rate(), 10_000);
            assert_eq!(sampled.set_for_good(), 0);
            drop(coarse);
            assert_eq!(sampled.rate(), 0);
        }
        assert!(!is_block_on());
    }
}
