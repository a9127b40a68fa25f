//! How often watchdogs found something, by kind, told or not.

use crate::primitive::{AtomicU64, Ordering};

/// What they look for, in the order of the counters.
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
