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
}

impl Place {
    /// What found the table full.
    pub(crate) const ELSEWHERE: Place = Place {
        waits: None,
        around: None,
        spawned_at: None,
    };

    /// What two equal places share.
    pub(crate) fn addresses(&self) -> [usize; 3] {
        let of =
            |set: Option<&'static WaitSet>| set.map_or(0, |set| std::ptr::from_ref(set).addr());
        let spawned_at = self.spawned_at;
        [
            of(self.waits),
            of(self.around),
            spawned_at.map_or(0, |location| std::ptr::from_ref(location).addr()),
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
            .filter(|total| total.count > 0.0)
    }
}

/// One sample for each so many ticks of waiting; 0 is off.
static RATE: AtomicU64 = AtomicU64::new(0);
/// When sampling began: waits that began before are not counted, as in Go.
static SINCE: AtomicU64 = AtomicU64::new(0);
/// The same as the user set it.
static RATE_NS: AtomicI64 = AtomicI64::new(0);
static RATES: Mutex<Rates> = Mutex::new(Rates {
    base: 0,
    leases: 0,
    finest: None,
});

/// An `f64`, the bits: what turns ticks into nanoseconds. It is learned when a rate is set and applied to events as they
/// come: what has been added up never changes with a better knowledge of it.
static NS_PER_TICK: AtomicU64 = AtomicU64::new(0);

/// Who wants which rate, in nanoseconds.
struct Rates {
    /// As set for good; 0 is off.
    base: i64,
    /// How many want it finer for a while, and the finest of these wishes since there was none.
    leases: usize,
    finest: Option<i64>,
}

impl Rates {
    fn apply(&self) {
        let wanted = [Some(self.base), self.finest];
        let finest = wanted.into_iter().flatten().filter(|ns| *ns > 0).min();
        let rate = finest.map_or(0, |ns| {
            let scale = Scale::now();
            NS_PER_TICK.store(scale.ns_per_tick().to_bits(), Ordering::Relaxed);
            if ns == 1 {
                1
            } else {
                scale.ticks(ns as u64).max(1)
            }
        });
        if RATE.load(Ordering::Relaxed) == 0 {
            SINCE.store(crate::clock::ticks(), Ordering::Relaxed);
        }
        RATE_NS.store(finest.unwrap_or(0), Ordering::Relaxed);
        // Release: whoever sees the rate sees since when.
        RATE.store(rate, Ordering::Release);
    }
}

fn rates() -> std::sync::MutexGuard<'static, Rates> {
    RATES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Sets the rate for good: nanoseconds of waiting for each sample, 1 for everything, 0 or less for nothing.
pub(crate) fn set_block_rate(ns: i64) {
    let mut rates = rates();
    rates.base = ns.max(0);
    rates.apply();
}

/// The rate in force, in nanoseconds; 0 is off.
pub(crate) fn block_rate_ns() -> i64 {
    RATE_NS.load(Ordering::Relaxed)
}

/// Whether waits are sampled.
#[inline(always)]
pub(crate) fn is_block_on() -> bool {
    RATE.load(Ordering::Relaxed) != 0
}

/// A rate for a while. Of several, and of what is set for good, the finest is in force until the last one ends: nobody
/// gets fewer samples than he asked for.
#[derive(Debug)]
#[must_use = "the rate ends with this"]
pub(crate) struct BlockLease(());

impl BlockLease {
    pub(crate) fn take(ns: i64) -> Self {
        let mut rates = rates();
        rates.leases += 1;
        rates.finest = Some(rates.finest.map_or(ns, |finest| finest.min(ns)));
        rates.apply();
        BlockLease(())
    }
}

impl Drop for BlockLease {
    fn drop(&mut self) {
        let mut rates = rates();
        rates.leases -= 1;
        if rates.leases == 0 {
            rates.finest = None;
            rates.apply();
        }
    }
}

/// A wait is over: samples it.
#[cold]
#[inline(never)]
pub(crate) fn note_wait(began: Ticks, ended: Ticks, place: Place) {
    let rate = RATE.load(Ordering::Acquire);
    if rate == 0 || began < SINCE.load(Ordering::Relaxed) {
        return;
    }
    if let Some(weight) = sampling::wait(ended.saturating_sub(began), rate, sampling::random) {
        let ns_per_tick = f64::from_bits(NS_PER_TICK.load(Ordering::Relaxed));
        let delay = weight.delay * ns_per_tick;
        BLOCK.add(place, Weight { delay, ..weight });
    }
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
            let mut model: HashMap<[usize; 3], (f64, f64)> = HashMap::new();
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
            .find(|total| total.place.addresses() == [0; 3]);
        assert_eq!(
            elsewhere.map(|total| (total.count, total.delay_ns)),
            Some((8.0, 40.0))
        );
        assert_eq!(table.totals().count(), 3);
    }

    /// The only test that touches the rate of the process.
    #[test]
    fn the_finest_rate_holds_until_the_last_lease_ends() {
        crate::clock::init();
        set_block_rate(1_000_000);
        let coarse = BlockLease::take(2_000_000);
        assert_eq!(block_rate_ns(), 1_000_000);
        let fine = BlockLease::take(10_000);
        assert_eq!(block_rate_ns(), 10_000);
        drop(fine);
        assert_eq!(block_rate_ns(), 10_000, "somebody may still count on it");
        set_block_rate(500);
        assert_eq!(block_rate_ns(), 500);
        set_block_rate(-1);
        assert_eq!(block_rate_ns(), 10_000);
        drop(coarse);
        assert_eq!(block_rate_ns(), 0);
        assert!(!is_block_on());
    }
}
