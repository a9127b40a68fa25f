//! The polls of a task: begin, end, number and length.

use super::flags::{KIND, OPEN, PollFlags, UNPREPARED};
use super::waker_data::Generation;
use super::waking::is_of_phase;
use super::{Kind, Record};
use crate::clock::Ticks;
use crate::primitive::{Ordering, fence};
use crate::registry::threads::ThreadNumber;
use std::task::Waker;

/// A bit in the stamp of a poll's begin: the poll's end must be written to the execution trace. Such a stamp is later
/// than any end, so the subtraction at the end of a poll, which is done anyway, recognizes it. No counter reaches this
/// bit in this century.
pub(crate) const TOLD_AT_ITS_END: Ticks = 1 << 63;

/// A poll, as the phase that it writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollNumber(u64);

impl PollNumber {
    /// The first poll of a task.
    #[cfg(feature = "rt")]
    pub(crate) const FIRST: PollNumber = PollNumber(3);

    /// The generation of the poll's waker, unless the record is frozen.
    #[inline(always)]
    pub(crate) fn generation(self) -> Generation {
        Generation::of_phase(self.0)
    }
}

/// A bit in the number of a record's thread: no poll of the task has a stamp of its begin.
pub(super) const IDLE: u32 = 1 << 31;

impl Record {
    /// The number of the current poll, or of the last one.
    pub(crate) fn poll(&self) -> u64 {
        self.phase.load(Ordering::Relaxed) >> 1
    }

    /// The end of the last poll, or the spawn; during a poll, its begin. Only the poller.
    #[inline(always)]
    pub(crate) fn since(&self) -> Ticks {
        self.since.load(Ordering::Relaxed)
    }

    /// Sets the waker that wakes are passed on to.
    #[expect(unsafe_code, reason = "writes the waker slot")]
    pub(crate) fn prepare(&self, waker: &Waker) {
        // SAFETY: the poller calls this before its poll. With `Once` it is the first poll: no waker of this record
        // exists yet, and a later one is ordered by the transfer to its thread.
        unsafe { self.slot.set(self.written(), waker) }
        // Only the poller writes flags, so a store loses nothing.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags & !UNPREPARED, Ordering::Relaxed);
        self.forget_an_old_wake();
    }

    /// The same before the first poll of a task.
    ///
    /// # Safety
    /// The record's slot is written once, and was not written yet.
    #[cfg(feature = "rt")]
    #[inline(always)]
    #[expect(unsafe_code, reason = "writes the waker slot")]
    pub(crate) unsafe fn prepare_first(&self, waker: &Waker) {
        // SAFETY: no waker of this record exists yet, and a later one is ordered by the transfer to its thread.
        unsafe { self.slot.set_first(waker) }
        // Only the poller writes flags, so a store loses nothing.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags & !UNPREPARED, Ordering::Relaxed);
    }

    /// The poll that is about to begin. Only the polling thread.
    #[inline(always)]
    pub(crate) fn next_poll(&self) -> PollNumber {
        let phase = self.phase.load(Ordering::Relaxed);
        debug_assert!(phase.is_multiple_of(2), "polled inside of its own poll");
        PollNumber(phase + 3)
    }

    /// Begins a poll on `thread`.
    #[inline(always)]
    pub(crate) fn begin_poll(&self, poll: PollNumber, thread: ThreadNumber, now: Ticks) {
        let PollNumber(phase) = poll;
        // Release: a reader that sees this phase sees the IDLE of the last one's end.
        self.phase.store(phase, Ordering::Release);
        // Readers must see the odd phase before any field of this poll.
        fence(Ordering::Release);
        self.since.store(now, Ordering::Relaxed);
        // Release: a reader that sees the number without IDLE sees this poll's stamp.
        self.worker.store(thread.0, Ordering::Release);
    }

    /// The generation of a poll's waker: the poll's number, unless the record is frozen.
    #[inline(always)]
    pub(crate) fn generation(&self, poll: PollNumber, poll_flags: PollFlags) -> Generation {
        match poll_flags.is_frozen() {
            false => poll.generation(),
            true => self.frozen_generation(),
        }
    }

    /// Ends a poll of this length.
    #[inline(always)]
    pub(crate) fn end_poll(&self, length: Ticks, now: Ticks) {
        // `since` is written first: a reader between the two stores misses the poll instead of counting it twice.
        self.since.store(now, Ordering::Relaxed);
        let busy = self.busy.load(Ordering::Relaxed) + length;
        self.busy.store(busy, Ordering::Relaxed);
        let worker = self.worker.load(Ordering::Relaxed) | IDLE;
        self.worker.store(worker, Ordering::Relaxed);
        // Release: a reader that sees the even phase sees this poll's fields.
        self.phase
            .store(self.phase.load(Ordering::Relaxed) - 1, Ordering::Release);
    }

    /// Whether the poll under way has finished the task, or is a closure, which has one poll. Only the polling thread.
    pub(crate) fn is_over(&self) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        flags & OPEN == 0 || flags & KIND == Kind::Blocking as u64
    }

    /// Whether the task was woken since its current poll began. Only the polling thread.
    pub(crate) fn is_woken(&self) -> bool {
        let phase = self.phase.load(Ordering::Relaxed);
        is_of_phase(self.woken.load(Ordering::Relaxed), phase)
    }

    /// (number, total time) of the finished polls. Only the poller, between two polls.
    pub(crate) fn finished(&self) -> (u64, Ticks) {
        (self.poll(), self.busy.load(Ordering::Relaxed))
    }

    /// For foreign tasks: the end of the last poll, if there was one.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn last_poll_ended(&self) -> Option<Ticks> {
        let polled = self.phase.load(Ordering::Relaxed) != 0;
        polled.then(|| self.since.load(Ordering::Relaxed))
    }

    /// For foreign tasks: records a poll of `length` that ended now.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn note_foreign_poll(&self, thread: ThreadNumber, length: Ticks, now: Ticks) {
        let phase = self.phase.load(Ordering::Relaxed) & !1;
        self.phase.store(phase + 3, Ordering::Relaxed);
        fence(Ordering::Release);
        self.busy.store(
            self.busy.load(Ordering::Relaxed) + length,
            Ordering::Relaxed,
        );
        self.worker.store(thread.0 | IDLE, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        self.phase.store(phase + 2, Ordering::Release);
    }
}
