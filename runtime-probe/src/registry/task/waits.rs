//! Where a task registered to be woken: in the current poll, or in the last one that registered anywhere.

use super::flags::FROZEN;
use super::{Kind, Record};
use crate::primitive::Ordering;
use crate::stack::raw::WaitSet;

/// In `waits_poll`, below the poll's number: its one registration repeats that of an earlier poll. As a word of the phase of that
/// poll, so that clones of wakers have little to compute.
pub(super) const REPEATED: u32 = 1;

/// What `waits_poll` has of a poll that registered, if it did not only repeat.
pub(super) fn poll_mark(poll: u64) -> u32 {
    (poll as u32) << 1
}

/// Whether a `waits_poll` is of that poll.
pub(super) fn is_of(waits_poll: u32, poll: u64) -> bool {
    waits_poll & !REPEATED == poll_mark(poll)
}

impl Record {
    /// The stacks of the registrations in this poll, or else in the last one that had any.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to an interned set")]
    pub(crate) fn last_waits(&self) -> Option<&'static WaitSet> {
        // SAFETY: null or from an interned set, which lives for ever.
        unsafe { self.waits.load(Ordering::Relaxed).as_ref() }
    }

    /// What [`Record::last_waits`] says is this poll's, too.
    #[inline(always)]
    pub(crate) fn repeat_waits(&self) {
        // Odd while the poll goes on: with REPEATED.
        let repeated = self.phase.load(Ordering::Relaxed) as u32 | REPEATED;
        let before = self.waits_poll.load(Ordering::Relaxed);
        // With a further registration of this poll it is one more.
        let again = u32::from(before ^ repeated <= REPEATED);
        self.waits_poll.store(repeated - again, Ordering::Relaxed);
    }

    /// The stacks of this poll's registrations so far.
    #[inline(always)]
    pub(crate) fn waits_of_this_poll(&self) -> Option<&'static WaitSet> {
        if !is_of(self.waits_poll.load(Ordering::Relaxed), self.poll()) {
            return None;
        }
        self.last_waits()
    }

    /// The stacks of the polls before, if the record is frozen: their leaves hold the very waker of this poll, and do
    /// not register again.
    #[inline(always)]
    pub(crate) fn waits_to_carry(&self) -> Option<&'static WaitSet> {
        if self.flags.load(Ordering::Relaxed) & FROZEN == 0 {
            return None;
        }
        self.last_waits()
    }

    /// Only the polling thread, during the poll.
    #[inline(always)]
    pub(crate) fn set_waits(&self, waits: Option<&'static WaitSet>) {
        let waits = waits.map_or(std::ptr::null(), std::ptr::from_ref);
        self.waits.store(waits.cast_mut(), Ordering::Relaxed);
        let mark = poll_mark(self.poll());
        self.waits_poll.store(mark, Ordering::Relaxed);
    }

    /// Takes the last registration of this poll back. Only the polling thread may.
    #[cfg(feature = "rt")]
    pub(crate) fn withdraw_wait(&self) {
        // A frozen record adds to what it carries.
        let Some(waits) = self
            .waits_of_this_poll()
            .filter(|_| self.waits_to_carry().is_none())
        else {
            return;
        };
        match waits.earlier {
            Some(earlier) => self.set_waits(Some(earlier)),
            None => {
                let before = poll_mark(self.poll().wrapping_sub(1));
                self.waits_poll.store(before, Ordering::Relaxed);
            }
        }
    }

    /// For a nested future that was polled: what the task around it registered with.
    #[expect(unsafe_code, reason = "records live for ever")]
    pub(crate) fn waits_around(&self) -> Option<&'static WaitSet> {
        if self.kind() != Kind::Nested {
            return None;
        }
        // SAFETY: null or a record, and those live for ever.
        unsafe { self.next.load(Ordering::Relaxed).as_ref() }?.last_waits()
    }
}
