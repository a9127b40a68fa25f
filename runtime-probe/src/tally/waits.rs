//! Finished waits by site, since the start of the process: how many, and how long in all.
//!
//! A site is the captured set of stacks that a task waits at: a pointer, so that an event costs a look-up and two
//! additions. Names, reasons and groups are found when a reader asks.
//!
//! Written from inside polls and wakes, so nothing here blocks or calls out. Bounded: if the table is full, an event of
//! a new site goes to the site [`WaitSite::ELSEWHERE`], so no time is lost.

use crate::labels::LabelSet;
use crate::primitive::{AtomicU64, Ordering};
use crate::sampling::Weight;
use crate::stack::intern::{Intern, mix};
use crate::stack::wait_set::WaitSet;
use std::panic::Location;

/// At most this many sites are kept apart: 80 B each, so 5 MB.
const MOST_SITES: usize = 1 << 16;

/// The site of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitSite {
    pub(crate) waits: Option<&'static WaitSet>,
    /// For a nested future, the waits of the task around it.
    pub(crate) around: Option<&'static WaitSet>,
    /// The spawn location of the task, if nothing else is known.
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) how: How,
    /// The labels of the waiter, or of the releaser of a lock.
    pub(crate) labels: LabelSet,
}

/// The kind of waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A suspended task: its thread ran others.
    Suspended,
    /// A thread that polls no probed task.
    Thread,
    /// A thread in the middle of a poll of a probed task: the other tasks of that worker had to wait, too.
    Worker,
}

impl WaitSite {
    /// The site of waits that found the table full.
    pub(crate) const ELSEWHERE: WaitSite = WaitSite {
        waits: None,
        around: None,
        spawned_at: None,
        how: How::Suspended,
        labels: LabelSet::NONE,
    };

    /// The site as numbers: equal for equal sites.
    pub(crate) fn addresses(&self) -> [usize; 4] {
        let of =
            |set: Option<&'static WaitSet>| set.map_or(0, |set| std::ptr::from_ref(set).addr());
        let spawned_at = self.spawned_at;
        [
            of(self.waits),
            of(self.around),
            spawned_at.map_or(0, |location| std::ptr::from_ref(location).addr()),
            self.how as usize | usize::from(self.labels.number()) << 8,
        ]
    }
}

/// The sums of one site.
#[derive(Debug)]
struct Counter {
    site: WaitSite,
    /// Count and delay are the bits of `f64`: a weight may stand for a fraction of an event. The delay is in
    /// nanoseconds.
    count: AtomicU64,
    delay: AtomicU64,
}

impl Counter {
    const fn new(site: WaitSite) -> Self {
        Counter {
            site,
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
            site: self.site,
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

/// The sums of a site. Count and delay may be of two neighbouring moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    pub(crate) site: WaitSite,
    pub(crate) count: f64,
    pub(crate) delay_ns: f64,
}

/// A table of sites.
pub(crate) struct WaitSites {
    sites: Intern<Counter, { 1 << 12 }>,
    elsewhere: Counter,
}

/// Waits, by the site that waited.
pub(crate) static BLOCK: WaitSites = WaitSites::new();
/// Waits for locks, by the site that released the lock.
pub(crate) static MUTEX: WaitSites = WaitSites::new();

impl WaitSites {
    const fn new() -> Self {
        WaitSites {
            sites: Intern::new(MOST_SITES),
            elsewhere: Counter::new(WaitSite::ELSEWHERE),
        }
    }

    /// Adds an event to a site.
    pub(crate) fn add(&self, site: WaitSite, weight: Weight) {
        let addresses = site.addresses();
        let hash = addresses
            .iter()
            .fold(0, |hash, word| mix(hash, *word as u64));
        let same = |other: &Counter| other.site.addresses() == addresses;
        self.sites
            .intern(hash, same, || Counter::new(site))
            .unwrap_or(&self.elsewhere)
            .add(weight);
    }

    /// Everything so far, in no particular order.
    pub(crate) fn totals(&self) -> impl Iterator<Item = Total> {
        self.sites
            .iter()
            .map(Counter::total)
            .chain(std::iter::once(self.elsewhere.total()))
            .filter(|total| total.delay_ns > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Mutex;

    /// Sites that differ by spawn location.
    fn site(number: usize) -> WaitSite {
        static LOCATIONS: Mutex<Vec<&'static Location<'static>>> = Mutex::new(Vec::new());
        let mut locations = LOCATIONS.lock().unwrap();
        while locations.len() <= number {
            locations.push(Box::leak(Box::new(*Location::caller())));
        }
        WaitSite {
            spawned_at: Some(locations[number]),
            ..WaitSite::ELSEWHERE
        }
    }

    proptest::proptest! {
        #[test]
        fn totals_are_sums(events in proptest::collection::vec((0usize..20, 1u32..1000), 0..200)) {
            let table = WaitSites::new();
            let mut model: HashMap<[usize; 4], (f64, f64)> = HashMap::new();
            for (number, delay) in events {
                let site = site(number);
                table.add(site, Weight { count: 1.0, delay: delay.into() });
                let sum = model.entry(site.addresses()).or_default();
                *sum = (sum.0 + 1.0, sum.1 + f64::from(delay));
            }
            let totals: HashMap<_, _> = table
                .totals()
                .map(|total| (total.site.addresses(), (total.count, total.delay_ns)))
                .collect();
            proptest::prop_assert_eq!(totals, model);
        }
    }

    #[test]
    fn no_event_is_lost_between_threads() {
        let table = WaitSites::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..10_000 {
                        table.add(
                            site(number % 3),
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
        let table = WaitSites {
            sites: Intern::new(2),
            elsewhere: Counter::new(WaitSite::ELSEWHERE),
        };
        for number in 0..10 {
            table.add(
                site(number),
                Weight {
                    count: 1.0,
                    delay: 5.0,
                },
            );
        }
        let elsewhere = table
            .totals()
            .find(|total| total.site.addresses() == [0; 4]);
        assert_eq!(
            elsewhere.map(|total| (total.count, total.delay_ns)),
            Some((8.0, 40.0))
        );
        assert_eq!(table.totals().count(), 3);
    }
}
