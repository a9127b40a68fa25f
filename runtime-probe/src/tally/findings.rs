//! How often watchdogs found something, by kind, reported or not.

use crate::primitive::{AtomicU64, Ordering};

/// The kinds of findings, in the order of the counters.
pub(crate) const KINDS: [&str; 9] = [
    "long_poll",
    "late_runtime",
    "growth",
    "long_wait",
    "spin",
    "full_pool",
    "standstill",
    "deadlock",
    "futurelock",
];

static COUNTERS: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];

/// Adds the findings between two counts.
pub(crate) fn add(before: [u64; KINDS.len()], now: [u64; KINDS.len()]) {
    for (at, counter) in COUNTERS.iter().enumerate() {
        counter.fetch_add(now[at] - before[at], Ordering::Relaxed);
    }
}

/// The counts since the start of the process.
pub(crate) fn totals() -> [u64; KINDS.len()] {
    COUNTERS
        .each_ref()
        .map(|counter| counter.load(Ordering::Relaxed))
}
