//! A reader's reference to a task, to wake it once.
//!
//! Other readers hold no references: they read records that may be reused at any moment. Waking a task needs its waker,
//! and so a reference. It is sound because:
//!
//! 1. The reference MUST be counted for the task that was read: [`Record::retain_for`] compares version and count in
//!    one word. Otherwise it would belong to another task, whose spawner may be counting without atomics.
//! 2. The task MUST have been seen between two polls, after the first: the waker was written before that poll, and the
//!    view's Acquire of the phase pairs with the Release at the poll's end. Otherwise the waker is read while it is written.

use super::slab::RecordRef;
use super::task::{Record, View, Waking};
use crate::clock;
use crate::registry::threads;

/// A counted reference to a task that has been polled.
pub(crate) struct Held(RecordRef);

impl Held {
    /// Takes a reference to the task of `view`; `None` if it is being polled, was never polled, or has ended.
    #[expect(unsafe_code, reason = "takes a reference")]
    pub(crate) fn of(record: &'static Record, view: &View) -> Option<Held> {
        if !record.retain_for(view) {
            return None;
        }
        // SAFETY: a record of the slab, and the reference was counted just now.
        Some(Held(unsafe { RecordRef::from_raw(record) }))
    }

    /// Wakes the task.
    #[expect(unsafe_code, reason = "reads the waker slot")]
    pub(crate) fn wake(self) {
        self.0
            .note_wake(false, clock::ticks, || Waking::Thread(threads::current()));
        // SAFETY: the view was of a finished poll of the task, for which the reference was counted.
        unsafe { self.0.wake() }
    }
}
