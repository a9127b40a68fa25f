//! How many replies may be on their way at once.
//!
//! Each holds one of the runtime's blocking threads for as long as its client reads. The service needs those for its own
//! work: without a bound, slow readers of profiles could take them all.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// As many as the stand-alone server has connections, of the 512 threads that a runtime has unless told otherwise.
pub(crate) const MOST_AT_ONCE: usize = 64;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Counts a reply until hyper has all of it but the last pieces ([`crate::pipe`]), or it is given up.
#[derive(Debug)]
pub(crate) struct Place(());

impl Place {
    /// `None` while all are taken.
    pub fn take() -> Option<Place> {
        let taken = TAKEN.fetch_update(Relaxed, Relaxed, |taken| {
            (taken < MOST_AT_ONCE).then_some(taken + 1)
        });
        // Lazily: one that is made is dropped, too.
        taken.is_ok().then(|| Place(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Relaxed);
    }
}
