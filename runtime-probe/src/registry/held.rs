//! A reader's hold on a task, to wake it once.
//!
//! Readers hold nothing as a rule: they look at records that may be given back at any moment. To wake a task takes its
//! waker, and that takes a reference. What makes it sound:
//!
//! 1. The reference MUST be counted for the very task that was looked at: [`Record::retain_for`] compares the version and
//!    the count in one word. Otherwise it would be another task's, whose spawner may be counting without atomics.
//! 2. The task MUST have been seen between two polls, after the first: the waker was written before that poll, and the
//!    view's Acquire of the phase pairs with the Release at the poll's end. Otherwise the waker is read while it is written.

use super::slab::RecordRef;
use super::task::{Record, View, Waking};
use crate::clock;
use crate::registry::threads;

/// A counted reference to a task that has been polled.
pub(crate) struct Held(RecordRef);

impl Held {
    /// Holds the task that `view` is of; `None` if it is being polled, was never polled, or has ended.
    #[expect(unsafe_code, reason = "takes a reference")]
    pub(crate) fn of(record: &'static Record, view: &View) -> Option<Held> {
        if !record.retain_for(view) {
            return None;
        }
        // SAFETY: a record of the slab, and the reference was counted just now.
        Some(Held(unsafe { RecordRef::from_raw(record) }))
    }

    /// Wakes it.
    #[expect(unsafe_code, reason = "reads the waker slot")]
    pub(crate) fn wake(self) {
        self.0
            .note_wake(false, clock::ticks, || Waking::Thread(threads::current()));
        // SAFETY: the view was of a finished poll of the task, for which the reference was counted.
        unsafe { self.0.wake() }
    }
}
