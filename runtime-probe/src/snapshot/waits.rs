//! What waits that are over add up to.

use crate::record::contention::{self, Contentions, Place};

/// The waits at one place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    pub(crate) place: Place,
    pub(crate) count: f64,
    pub(crate) delay_ns: f64,
}

/// Those of tasks.
pub(crate) fn blocked() -> Vec<Waited> {
    copy(&contention::BLOCK)
}

/// Those for locks, where these were released.
pub(crate) fn unlocked() -> Vec<Waited> {
    copy(&contention::MUTEX)
}

fn copy(table: &Contentions) -> Vec<Waited> {
    table
        .totals()
        .map(|total| Waited {
            place: total.place,
            count: total.count,
            delay_ns: total.delay_ns,
        })
        .collect()
}
