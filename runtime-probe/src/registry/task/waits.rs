//! Where a task registered to be woken: in the current poll, or in the last one that registered anywhere.

use super::flags::FROZEN;
use super::{Kind, Record};
use crate::primitive::Ordering;
use crate::stack::raw::WaitSet;

/// In `waits_poll`, below the poll's number: how `waits` came to be those of that poll.
const REGISTERED: u32 = 0;

/// One registration, which repeats that of an earlier poll; with a further one it is one more.
pub(super) const REPEATED: u32 = 1;

pub(super) const REGISTRATION_BITS: u32 = 2;

/// The part of a poll's number that `waits_poll` has.
pub(super) fn poll_mark(poll: u64) -> u32 {
    (poll as u32) << REGISTRATION_BITS
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
        let mark = poll_mark(self.poll());
        let before = self.waits_poll.load(Ordering::Relaxed);
        let again = before >> REGISTRATION_BITS == mark >> REGISTRATION_BITS;
        let how = REPEATED + u32::from(again);
        self.waits_poll.store(mark | how, Ordering::Relaxed);
    }

    /// The stacks of this poll's registrations so far.
    #[inline(always)]
    pub(crate) fn waits_of_this_poll(&self) -> Option<&'static WaitSet> {
        let mark = self.waits_poll.load(Ordering::Relaxed) >> REGISTRATION_BITS;
        if mark != poll_mark(self.poll()) >> REGISTRATION_BITS {
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
        self.waits_poll.store(mark | REGISTERED, Ordering::Relaxed);
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
