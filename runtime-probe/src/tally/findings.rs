//! How often watchdogs found something, by kind, told or not, and what they told last.

use crate::primitive::{AtomicU64, Ordering};
#[cfg(feature = "ui")]
pub(crate) use told::{keep, told};

/// What they look for, in the order of the counters.
pub(crate) const KINDS: [&str; 8] = [
    "long_poll",
    "late_runtime",
    "growth",
    "long_wait",
    "spin",
    "full_pool",
    "standstill",
    "deadlock",
];

static COUNTERS: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];

/// Adds what was found between two counts.
pub(crate) fn add(before: [u64; KINDS.len()], now: [u64; KINDS.len()]) {
    for (at, counter) in COUNTERS.iter().enumerate() {
        counter.fetch_add(now[at] - before[at], Ordering::Relaxed);
    }
}

/// All since the process began.
pub(crate) fn totals() -> [u64; KINDS.len()] {
    COUNTERS
        .each_ref()
        .map(|counter| counter.load(Ordering::Relaxed))
}

/// What they told last, for the pages to look at.
#[cfg(feature = "ui")]
mod told {
    use crate::primitive;
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::time::Instant;

    /// The most sentences that are kept.
    const MOST_TOLD: usize = 16;

    static TOLD: Mutex<VecDeque<Told>> = Mutex::new(VecDeque::new());

    /// What a watchdog has told.
    #[derive(Clone, Debug)]
    pub(crate) struct Told {
        pub(crate) at: Instant,
        /// Index of [`KINDS`](super::KINDS).
        pub(crate) kind: usize,
        /// Without stacks.
        pub(crate) sentence: String,
    }

    /// Keeps a sentence that was told just now.
    pub(crate) fn keep(kind: usize, sentence: &str) {
        let mut told = primitive::lock(&TOLD);
        told.push_front(Told {
            at: Instant::now(),
            kind,
            sentence: sentence.to_owned(),
        });
        told.truncate(MOST_TOLD);
    }

    /// What was told last, the newest first.
    pub(crate) fn told() -> Vec<Told> {
        primitive::lock(&TOLD).iter().cloned().collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_newest_come_first_and_the_oldest_make_room() {
            for number in 0..MOST_TOLD + 4 {
                keep(number % 8, &number.to_string());
            }
            let told = told();
            assert_eq!(told.len(), MOST_TOLD);
            assert_eq!((told[0].sentence.as_str(), told[0].kind), ("19", 3));
        }
    }
}
