//! Waits of threads for the locks and condition variables of std and parking_lot.
//!
//! The watcher runs between the end of a wait and the next attempt to take the lock, so the thread does not hold that
//! lock. It may hold others. A wait inside the watcher itself is left out, and everything else does what a leaf's
//! capture does, see [`super::waker`]. One case is not supported: recording a wait may allocate, so an allocator must
//! not wait for a second std lock while it holds its own. The feature's documentation says so.
//!
//! For an execution trace, the begin is written before the wait: a thread that waits for ever is in the trace. That is
//! a store into the chunk of the thread. The stack is captured after the wait, and is in the entry of the end.

use super::{labels, trace, waker};
use crate::clock::Ticks;
use crate::demand::{self, Demand};
use crate::registry::threads;
use crate::sys::futex::{self, End, Wait, Watcher};
use crate::tally::waits::{BLOCK, WaitSite};
use std::cell::Cell;

thread_local! {
    /// Whether a wait is being recorded. No destructor, so it can be read while the thread is torn down.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Waits are sampled from now on, while a rate is set, and traced, while a trace is taken.
pub(super) fn install() {
    futex::install(Watcher { begins, ends });
}

/// This thread is about to wait. Returns whether a trace has the begin.
fn begins(at: Ticks) -> bool {
    !BUSY.with(Cell::get) && trace::blocks(at)
}

/// This thread has waited.
fn ends(wait: &Wait) {
    if BUSY.with(|busy| busy.replace(true)) {
        return;
    }
    if wait.end == End::Waited {
        waited(wait);
    } else if wait.is_begun {
        trace::unblocks(wait.ended, None, wait.end == End::InQueue);
    }
    BUSY.with(|busy| busy.set(false));
}

fn waited(wait: &Wait) {
    let weight = demand::sample_wait(wait.began, wait.ended);
    let is_begun = wait.is_begun || begins_late(wait.began);
    if weight.is_none() && !is_begun {
        return;
    }
    let site = waker::wait_site();
    if let Some(weight) = weight {
        let labels = labels::current();
        BLOCK.add(WaitSite { labels, ..site }, weight);
    }
    if is_begun {
        trace::unblocks(wait.ended, site.waits, true);
    }
}

/// The first wait of a thread may begin before the probe knows the thread.
fn begins_late(at: Ticks) -> bool {
    Demand::Trace.is_on() && {
        threads::slot();
        trace::blocks(at)
    }
}
