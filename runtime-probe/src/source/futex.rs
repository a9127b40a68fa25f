//! Threads that wait for locks, condition variables and each other, as std and parking_lot make them wait.
//!
//! Called between a wait's end and the next look at the lock: the thread holds nothing that it waited for. It may hold
//! other things; a wait within a wait's own book-keeping is left out, and everything else here does what a leaf's capture
//! does, see [`super::waker`]. An allocator that waits for a second lock of std's while it holds its own is the one thing
//! that this does not go with: noting that wait may allocate. The feature's documentation says so.

use super::waker;
use crate::clock::Ticks;
use crate::record::contention::{self, How, Place};
use crate::stack::anchor::here;
use crate::stack::raw::HasMeta;
use crate::stack::template::{self, AnchorFrame, WholeThread};
use crate::sys::futex;
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
    if let Some(weight) = contention::sample_wait(began, ended) {
        let place = place();
        contention::add_wait(weight, place);
    }
    BUSY.with(|busy| busy.set(false));
}

static FRAME: AnchorFrame = AnchorFrame::new();

#[inline(never)]
#[expect(unsafe_code, reason = "captures")]
fn place() -> Place {
    let anchor = here!();
    let (how, root) = match waker::root() {
        Some(root) => (How::Worker, Some(root)),
        None => (
            How::Thread,
            template::stack_end().map(|end| (end, <WholeThread as HasMeta>::META)),
        ),
    };
    let waits = root.and_then(|(root, meta)| {
        // SAFETY: this function took the anchor, and the root is a frame of a poll further up, or the stack's end.
        unsafe { template::capture(&FRAME, anchor, root, meta, None, None) }
    });
    Place {
        waits,
        how,
        ..Place::ELSEWHERE
    }
}
