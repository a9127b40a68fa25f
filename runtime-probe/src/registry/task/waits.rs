//! The registrations of a task: those of the current poll, or of the last poll that made any.

use super::flags::FROZEN;
use super::labels::address_of;
use super::{Kind, Record};
use crate::primitive::Ordering;
#[cfg(not(probe_loom))]
use crate::stack::wait_set::OnlyPath;
use crate::stack::wait_set::WaitSet;

/// The lowest bit of `waits_poll`: the poll's one registration repeats that of an earlier poll. The bits above are the
/// poll's number, as in the phase, so that clones of wakers have little to compute.
pub(super) const REPEATED: u32 = 1;

/// The `waits_poll` of a poll with a new registration.
pub(super) fn poll_mark(poll: u64) -> u32 {
    (poll as u32) << 1
}

/// Whether a `waits_poll` belongs to that poll.
pub(super) fn is_of(waits_poll: u32, poll: u64) -> bool {
    waits_poll & !REPEATED == poll_mark(poll)
}

impl Record {
    /// The stacks of the registrations in this poll, or in the last poll that had any.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to an interned set")]
    pub(crate) fn last_waits(&self) -> Option<&'static WaitSet> {
        // SAFETY: only words of sets are stored there.
        unsafe { WaitSet::of_word(self.waits.load(Ordering::Relaxed)) }
    }

    /// The path to the only registration of these.
    #[cfg(not(probe_loom))]
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to an interned set")]
    pub(crate) fn last_path(&self) -> &'static OnlyPath {
        // SAFETY: only words of sets are stored there.
        unsafe { WaitSet::path_of_word(self.waits.load(Ordering::Relaxed)) }
    }

    /// This poll registered with the same stacks as [`Record::last_waits`].
    #[inline(always)]
    pub(crate) fn repeat_waits(&self) {
        // The phase is odd during a poll, which is the bit REPEATED.
        let repeated = self.phase.load(Ordering::Relaxed) as u32;
        let before = self.waits_poll.load(Ordering::Relaxed);
        // A further registration in the same poll clears the bit.
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

    /// The stacks of earlier polls, if the record is frozen: their leaves have this poll's waker, and do not register
    /// again.
    #[inline(always)]
    pub(crate) fn waits_to_carry(&self) -> Option<&'static WaitSet> {
        if self.flags.load(Ordering::Relaxed) & FROZEN == 0 {
            return None;
        }
        self.last_waits()
    }

    /// Whether a registration would be the first one of this poll, without any that an earlier poll has left to it.
    #[cfg(not(probe_loom))]
    #[inline(always)]
    pub(crate) fn has_no_waits_yet(&self) -> bool {
        !is_of(self.waits_poll.load(Ordering::Relaxed), self.poll())
            && self.flags.load(Ordering::Relaxed) & FROZEN == 0
    }

    /// Sets the stacks of this poll's registrations. Only the polling thread, during the poll.
    #[inline(always)]
    pub(crate) fn set_waits(&self, waits: Option<&'static WaitSet>) {
        self.waits.store(WaitSet::word(waits), Ordering::Relaxed);
        let mark = poll_mark(self.poll());
        self.waits_poll.store(mark, Ordering::Relaxed);
    }

    /// Removes the last registration of this poll. Only the polling thread.
    #[cfg(feature = "rt")]
    pub(crate) fn withdraw_wait(&self) {
        // A frozen record keeps it: its list includes earlier polls.
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

    /// Of a nested future that was polled: the registrations of the task around it.
    #[expect(unsafe_code, reason = "records live for ever")]
    pub(crate) fn waits_around(&self) -> Option<&'static WaitSet> {
        if self.kind() != Kind::Nested {
            return None;
        }
        let outer = self.next.load(Ordering::Relaxed).map_addr(address_of);
        // SAFETY: null or a record, and those live for ever.
        unsafe { outer.as_ref() }?.last_waits()
    }
}
