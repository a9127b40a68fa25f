//! Threads that wait for locks, condition variables and each other, as std and parking_lot make them wait.
//!
//! Called between a wait's end and the next look at the lock: the thread holds nothing that it waited for. It may hold
//! other things; a wait within a wait's own book-keeping is left out, and everything else here does what a leaf's capture
//! does, see [`super::waker`]. An allocator that waits for a second lock of std's while it holds its own is the one thing
//! that this does not go with: noting that wait may allocate. The feature's documentation says so.

use super::{labels, waker};
use crate::clock::Ticks;
use crate::demand;
use crate::sys::futex;
use crate::tally::waits::{BLOCK, WaitSite};
use std::cell::Cell;

thread_local! {
    /// A wait is being noted. No destructor, so that it can be read while the thread is torn down.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// From now on waits are told, while a rate is set.
pub(super) fn install() {
    futex::install(waited);
}

/// This thread has waited.
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
