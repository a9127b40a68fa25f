//! How many replies may be under way at once.
//!
//! Each reply occupies one of the runtime's blocking threads for as long as its client reads. The service needs those
//! threads for its own work: without a bound, slow readers of profiles could occupy them all.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// As many as the stand-alone server has connections, of the 512 blocking threads that a runtime has by default.
pub(crate) const MOST_AT_ONCE: usize = 64;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Counts a reply until hyper has all but its last pieces ([`crate::pipe`]), or until it is broken off.
#[derive(Debug)]
pub(crate) struct Place(());

impl Place {
    /// `None` while all are taken.
    pub fn take() -> Option<Place> {
        let taken = TAKEN.fetch_update(Relaxed, Relaxed, |taken| {
            (taken < MOST_AT_ONCE).then_some(taken + 1)
        });
        // Lazily: a `Place` that is made eagerly would also be dropped, and counted as given up.
        taken.is_ok().then(|| Place(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Relaxed);
    }
}
