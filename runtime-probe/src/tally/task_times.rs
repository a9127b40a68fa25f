//! Tasks by spawn site: how many ended, and, on demand, their poll times, waits and ready times.
//!
//! The end of a task is always counted: a look-up and two additions in its life. The times are off by default and cost
//! nothing then: a bit of the word that a poll reads anyway tells whether they are wanted ([`crate::demand::any`]).
//! They are noted when the next poll begins, and at the end of the task.
//!
//! Threads are in [`GROUPS`] groups, each with counts of its own, so that workers seldom write to the same cache lines.
//! A reader adds them up. Nothing is locked. Rejected: the crate hdrhistogram for the counts. Its counters are plain
//! memory, so a reader would have to lock workers out. The classes are like its own, and a test compares the two.
//!
//! Bounded: [`MOST_SITES`] sites are kept apart, and tasks of further sites are counted as [`SpawnSite::ELSEWHERE`]. A
//! site with times takes 16 KB for each group of threads that polled its tasks: 130 KB with eight threads and more, so
//! 34 MB in all at the most.

use super::lengths::Lengths;
use crate::clock::Ticks;
use crate::primitive::{AtomicU64, Ordering};
use crate::stack::intern::{Intern, mix};
use crate::stack::raw::FutureMeta;
use std::collections::HashMap;
use std::panic::Location;

/// Far more than the spawn sites of a usual program.
const MOST_SITES: usize = 256;
/// Groups of threads.
const GROUPS: usize = 8;
/// Ticks, each within one part in 32, which is 3 %; up to 2^44, an hour and a half at 3 GHz.
pub(crate) const LENGTHS: Lengths = Lengths::new(5, 43);

/// The location where tasks were spawned, and their kind and future: a library may spawn all its tasks on one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpawnSite {
    pub(crate) location: Option<&'static Location<'static>>,
    /// The kind of task, as the registry numbers them.
    pub(crate) kind: u8,
    /// The future, or the closure; `None` if it is not known.
    pub(crate) future: Option<&'static FutureMeta>,
}

impl SpawnSite {
    /// The site of tasks that found the table full.
    pub(crate) const ELSEWHERE: SpawnSite = SpawnSite {
        location: None,
        kind: u8::MAX,
        future: None,
    };

    /// Equal for equal sites, mostly: one location, or type, may have several addresses. A reader adds those up.
    pub(crate) fn key(&self) -> (usize, u8, usize) {
        let address = self.location.map_or(0, |at| std::ptr::from_ref(at).addr());
        let future = self
            .future
            .map_or(0, |meta| std::ptr::from_ref(meta).addr());
        (address, self.kind, future)
    }

    #[inline(always)]
    fn hash(&self) -> u64 {
        let (address, kind, future) = self.key();
        let hash = mix(address as u64 ^ u64::from(kind) << 56, future as u64);
        // The upper bits are the better ones.
        hash ^ hash >> 32
    }
}

/// The times that are known when a poll begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PollStart {
    /// How long the previous poll took.
    pub(crate) poll: Option<Ticks>,
    /// How long the task waited between the two polls, up to the wake.
    pub(crate) wait: Option<Ticks>,
    /// How long the task has been ready since then.
    pub(crate) delay: Option<Ticks>,
}

/// How many kinds of times there are: the fields of a [`PollStart`].
pub(crate) const TIMES: usize = 3;

/// Counts by class of length, for each field of a [`PollStart`] in its order.
pub(crate) type Counts = [Vec<u64>; TIMES];

/// The ends of a site's tasks on a group of threads; a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Ends {
    finished: AtomicU64,
    panicked: AtomicU64,
    polls: AtomicU64,
}

impl Ends {
    const fn new() -> Self {
        Ends {
            finished: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            polls: AtomicU64::new(0),
        }
    }
}

/// A site in the table.
#[derive(Debug)]
pub(crate) struct Entry {
    site: SpawnSite,
    ends: [Ends; GROUPS],
}

impl Entry {
    const fn new(site: SpawnSite) -> Self {
        Entry {
            site,
            ends: [const { Ends::new() }; GROUPS],
        }
    }

    /// Counts the end of a task that did not panic, on that thread, after so many polls.
    #[inline(always)]
    pub(crate) fn note_end(&self, thread: u32, polls: u64) {
        let ends = &self.ends[thread as usize % GROUPS];
        // Release: a reader that counts this end also sees the thread's earlier writes.
        ends.finished.fetch_add(1, Ordering::Release);
        ends.polls.fetch_add(polls, Ordering::Relaxed);
    }
}

/// The times of a site's tasks on a group of threads.
#[derive(Debug)]
struct Times {
    /// (address of the site's entry, group).
    key: (usize, usize),
    /// The counts of each field of a [`PollStart`], one field after the other.
    counts: Box<[AtomicU64]>,
}

/// A table of spawn sites.
pub(crate) struct TaskTimes {
    sites: Intern<Entry, 512>,
    elsewhere: Entry,
    times: Intern<Times, 1024>,
}

/// The table of the process.
pub(crate) static TASKS: TaskTimes = TaskTimes::new(MOST_SITES);

/// The sums of a site. They may be of neighbouring moments.
#[derive(Clone, Debug)]
pub(crate) struct Total {
    pub(crate) site: SpawnSite,
    pub(crate) finished: u64,
    /// Of the finished ones.
    pub(crate) panicked: u64,
    /// The polls of the finished tasks.
    pub(crate) polls: u64,
    pub(crate) counts: Counts,
}

impl TaskTimes {
    const fn new(most: usize) -> Self {
        TaskTimes {
            sites: Intern::new(most),
            elsewhere: Entry::new(SpawnSite::ELSEWHERE),
            times: Intern::new((most + 1) * GROUPS),
        }
    }

    /// The sums of a site; of all further ones, if there is no room for it.
    pub(crate) fn entry(&self, site: SpawnSite) -> &Entry {
        self.sites
            .intern(
                site.hash(),
                |entry| entry.site.key() == site.key(),
                || Entry::new(site),
            )
            .unwrap_or(&self.elsewhere)
    }

    /// Counts the end of a task, on that thread, after so many polls.
    pub(crate) fn note_end(&self, site: SpawnSite, thread: u32, polls: u64, panicked: bool) {
        let entry = self.entry(site);
        entry.note_end(thread, polls);
        if panicked {
            let ends = &entry.ends[thread as usize % GROUPS];
            ends.panicked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts the times of a poll that begins, or of a task that ended.
    pub(crate) fn note(&self, site: SpawnSite, thread: u32, start: PollStart) {
        let told = [start.poll, start.wait, start.delay];
        if told == [None; TIMES] {
            return;
        }
        let group = thread as usize % GROUPS;
        let key = (std::ptr::from_ref(self.entry(site)).addr(), group);
        let hash = mix(mix(0, key.0 as u64), group as u64);
        let times = self.times.intern(
            hash ^ hash >> 32,
            |times| times.key == key,
            || Times {
                key,
                counts: (0..TIMES * LENGTHS.classes())
                    .map(|_| AtomicU64::new(0))
                    .collect(),
            },
        );
        // There is room for all groups of all sites, but racing threads may have taken one too many.
        let Some(times) = times else { return };
        for (field, length) in told.into_iter().enumerate() {
            if let Some(length) = length {
                let at = field * LENGTHS.classes() + LENGTHS.class(length);
                times.counts[at].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether there is no room for another site.
    pub(crate) fn is_full(&self) -> bool {
        self.sites.is_full()
    }

    /// How many tasks of some kinds have ended. Tasks that found the table full are counted with the kind of
    /// [`SpawnSite::ELSEWHERE`].
    #[cfg(feature = "rt")]
    pub(crate) fn ended(&self, wanted: impl Fn(u8) -> bool) -> u64 {
        let kept_apart = self.sites.iter().map(|entry| -> &Entry { entry });
        let entries = kept_apart.chain(std::iter::once(&self.elsewhere));
        entries
            .filter(|entry| wanted(entry.site.kind))
            .flat_map(|entry| &entry.ends)
            .map(|ends| ends.finished.load(Ordering::Acquire))
            .sum()
    }

    /// Everything so far, in no particular order; the tasks from elsewhere are last.
    pub(crate) fn totals(&self) -> Vec<Total> {
        let kept_apart = self.sites.iter().map(|entry| -> &Entry { entry });
        let entries = kept_apart.chain(std::iter::once(&self.elsewhere));
        let mut totals = Vec::new();
        let mut by_address = HashMap::new();
        for entry in entries {
            let sum = |of: fn(&Ends) -> &AtomicU64| {
                let groups = entry.ends.iter();
                groups.map(|ends| of(ends).load(Ordering::Relaxed)).sum()
            };
            by_address.insert(std::ptr::from_ref(entry).addr(), totals.len());
            totals.push(Total {
                site: entry.site,
                finished: sum(|ends| &ends.finished),
                panicked: sum(|ends| &ends.panicked),
                polls: sum(|ends| &ends.polls),
                counts: Counts::default(),
            });
        }
        for times in self.times.iter() {
            // The entry may be younger than the look at the entries.
            let Some(total) = by_address.get(&times.key.0) else {
                continue;
            };
            let fields = times.counts.chunks(LENGTHS.classes());
            for (sums, counts) in totals[*total].counts.iter_mut().zip(fields) {
                for (class, count) in counts.iter().enumerate() {
                    add(sums, class, count.load(Ordering::Relaxed));
                }
            }
        }
        totals
    }
}

/// Adds `more` lengths of a class to counts, which end with the longest class that occurred.
pub(crate) fn add(counts: &mut Vec<u64>, class: usize, more: u64) {
    if more == 0 {
        return;
    }
    if counts.len() <= class {
        counts.resize(class + 1, 0);
    }
    counts[class] += more;
}

/// The number of the current recording; see [`Noted`].
static RECORDING: AtomicU64 = AtomicU64::new(0);

/// Begins a recording. Called before times are noted, by one thread at a time.
pub(crate) fn begin_recording() {
    let last = RECORDING.load(Ordering::Relaxed) % Noted::RECORDINGS;
    RECORDING.store(last + 1, Ordering::Relaxed);
}

/// The number of the current recording, or of the last one.
pub(crate) fn recording() -> u64 {
    RECORDING.load(Ordering::Relaxed)
}

/// A word that a task keeps between two polls: its busy time when the last poll began, and the number of the recording.
///
/// A word of the same recording is of the previous poll: while times are noted, every begin of a poll writes the word,
/// also the first poll of a task whose record was another task's. A word of an older recording is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted(pub(crate) u64);

impl Noted {
    /// How many recordings have a number of their own. After as many, a task that was polled in none of those between
    /// may have the sum of several polls counted as one poll.
    const RECORDINGS: u64 = (1 << 16) - 1;
    /// 2^48 ticks are a day at 3 GHz. A longer sum wraps, but differences stay right.
    const BUSY: u64 = (1 << 48) - 1;

    pub(crate) fn new(recording: u64, busy: Ticks) -> Self {
        Noted(recording << 48 | busy & Self::BUSY)
    }

    /// The busy time since then, if it is `busy` now; `None` if the word is of another recording.
    pub(crate) fn since(self, recording: u64, busy: Ticks) -> Option<Ticks> {
        (self.0 >> 48 == recording).then(|| busy.wrapping_sub(self.0) & Self::BUSY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    fn site(kind: u8) -> SpawnSite {
        SpawnSite {
            location: Some(Location::caller()),
            kind,
            future: None,
        }
    }

    fn poll(length: Ticks) -> PollStart {
        PollStart {
            poll: Some(length),
            ..PollStart::default()
        }
    }

    proptest! {
        // Each case reads 130 KB of counts.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_groups_of_threads_count_is_one_histogram(
            lengths in proptest::collection::vec((0u32..20, (0u32..43).prop_flat_map(|power| 0..1u64 << power)), 1..100)
        ) {
            let table = TaskTimes::new(4);
            let mut model = Histogram::<u64>::new(3).unwrap();
            for (thread, length) in &lengths {
                table.note(site(1), *thread, poll(*length));
                model.record(*length).unwrap();
            }
            let totals = table.totals();
            let counts = &totals[0].counts;
            prop_assert_eq!(counts[0].iter().sum::<u64>(), lengths.len() as u64);
            prop_assert!(counts[1].is_empty() && counts[2].is_empty());
            let mut seen = 0;
            for (class, count) in counts[0].iter().enumerate().filter(|(_, count)| **count > 0) {
                seen += count;
                let quantile = (seen as f64 - 0.5) / lengths.len() as f64;
                let (ours, theirs) = (LENGTHS.middle(class), model.value_at_quantile(quantile));
                // The two errors, 1/32 and 1/1000, and rounding.
                prop_assert!(ours.abs_diff(theirs) <= theirs / 30 + 1, "{} for {}", ours, theirs);
            }
        }
    }

    #[test]
    fn no_count_is_lost_between_threads() {
        let table = TaskTimes::new(4);
        std::thread::scope(|scope| {
            // The first and the last share a group.
            for thread in 0..=GROUPS as u32 {
                let table = &table;
                scope.spawn(move || {
                    for length in 0..1000 {
                        table.note(site(1), thread, poll(length % 7));
                        table.note_end(site(1), thread, 3, length % 10 == 0);
                    }
                });
            }
        });
        let total = table.totals().remove(0);
        assert_eq!(
            (total.finished, total.panicked, total.polls),
            (9000, 900, 27_000)
        );
        assert_eq!(total.counts[0].iter().sum::<u64>(), 9000);
        assert_eq!(total.counts[0][0], 9 * 143);
    }

    #[test]
    fn what_finds_the_table_full_is_counted() {
        let table = TaskTimes::new(2);
        for kind in 0..10 {
            table.note(site(kind), 0, poll(1));
            table.note_end(site(kind), 0, 1, false);
        }
        let totals = table.totals();
        assert_eq!(totals.len(), 3);
        let elsewhere = totals.last().unwrap();
        assert_eq!(elsewhere.site.key(), SpawnSite::ELSEWHERE.key());
        assert_eq!((elsewhere.finished, elsewhere.counts[0][1]), (8, 8));
    }

    #[test]
    fn a_poll_is_known_from_its_own_recording_only() {
        let noted = Noted::new(7, Noted::BUSY - 5);
        assert_eq!(noted.since(7, Noted::BUSY + 15), Some(20));
        assert_eq!(noted.since(8, Noted::BUSY + 15), None);
        assert_eq!(Noted::default().since(1, 100), None);
    }
}
