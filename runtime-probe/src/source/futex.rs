//! Waits of threads for the locks and condition variables of std and parking_lot.
//!
//! The watcher runs between the end of a wait and the next attempt to take the lock, so the thread does not hold that
//! lock. It may hold others. A wait inside the watcher itself is left out, and everything else does what a leaf's
//! capture does, see [`super::waker`]. One case is not supported: recording a wait may allocate, so an allocator must
//! not wait for a second std lock while it holds its own. The feature's documentation says so.

use super::{labels, waker};
use crate::clock::Ticks;
use crate::demand;
use crate::sys::futex;
use crate::tally::waits::{BLOCK, WaitSite};
use std::cell::Cell;

thread_local! {
    /// Whether a wait is being recorded. No destructor, so it can be read while the thread is torn down.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Waits are sampled from now on, while a rate is set.
pub(super) fn install() {
    futex::install(waited);
}

/// The watcher: this thread has waited.
fn waited(began: Ticks, ended: Ticks) {
    if BUSY.with(|busy| busy.replace(true)) {
        return;
    }
    if let Some(weight) = demand::sample_wait(began, ended) {
        let site = WaitSite {
            labels: labels::current(),
            ..waker::wait_site()
        };
        BLOCK.add(site, weight);
    }
    BUSY.with(|busy| busy.set(false));
}
