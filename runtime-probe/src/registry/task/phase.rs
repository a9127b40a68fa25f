//! Polls: that one begins, that it ends, which one it is, and how long they take.

use super::Record;
use super::flags::{CLOSED, PREPARED, PollFlags};
use super::waking::GENERATIONS;
use crate::clock::Ticks;
use crate::primitive::{Ordering, fence};
use crate::registry::threads::ThreadNumber;
use std::task::Waker;

/// In the stamp of a poll's begin: its end has to be told to the execution trace. Such a stamp lies behind all ends, so the
/// subtraction that every end of a poll does tells it from the others. No counter gets there in this century.
pub(crate) const TOLD_AT_ITS_END: Ticks = 1 << 63;

/// A poll under way, as the phase it wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollNumber(u64);

impl PollNumber {
    /// The generation of its waker, unless the record is frozen.
    #[inline(always)]
    pub(crate) fn generation(self) -> usize {
        (self.0 >> 1) as usize & (GENERATIONS - 1)
    }
}

#[inline(always)]
fn worker_word(thread: ThreadNumber, poll: u64) -> u64 {
    u64::from(thread.0) << 32 | poll & 0xffff_ffff
}

impl Record {
    /// The number of the current poll, or of the last one.
    pub(crate) fn poll(&self) -> u64 {
        self.phase.load(Ordering::Relaxed) >> 1
    }

    /// When the last poll ended, or else the spawn; during a poll when that one began. Only the poller.
    #[inline(always)]
    pub(crate) fn since(&self) -> Ticks {
        self.since.load(Ordering::Relaxed)
    }

    /// Makes `waker` the one that wakes are handed on to.
    #[expect(unsafe_code, reason = "writes the waker slot")]
    pub(crate) fn prepare(&self, waker: &Waker) {
        // SAFETY: the poller, before its poll. With `Once` it is the first: no waker of this record has been handed
        // out yet, and what is handed out later is ordered by whatever carries it to another thread.
        unsafe { self.slot.set(self.written(), waker) }
        // Only the poller writes flags, so a store loses nothing.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags | PREPARED, Ordering::Relaxed);
    }

    /// The poll that is about to begin. Only its thread.
    #[inline(always)]
    pub(crate) fn next_poll(&self) -> PollNumber {
        PollNumber((self.phase.load(Ordering::Relaxed) | 1) + 2)
    }

    /// The poll under way. Only its thread.
    #[inline(always)]
    pub(crate) fn poll_under_way(&self) -> PollNumber {
        PollNumber(self.phase.load(Ordering::Relaxed))
    }

    /// That poll begins on `thread`.
    #[inline(always)]
    pub(crate) fn begin_poll(&self, poll: PollNumber, thread: ThreadNumber, now: Ticks) {
        let PollNumber(phase) = poll;
        self.phase.store(phase, Ordering::Relaxed);
        // Readers must see the odd phase before any field of this poll.
        fence(Ordering::Release);
        self.since.store(now, Ordering::Relaxed);
        // Release: a reader that sees this poll's number here sees its stamp.
        self.worker
            .store(worker_word(thread, phase >> 1), Ordering::Release);
    }

    /// The generation of a poll's waker: the poll's number, unless the record is frozen.
    #[inline(always)]
    pub(crate) fn generation(&self, poll: PollNumber, poll_flags: PollFlags) -> usize {
        match poll_flags.is_frozen() {
            false => poll.generation(),
            true => self.self_wakes.load(Ordering::Relaxed) as usize & (GENERATIONS - 1),
        }
    }

    /// The poll ended, after so long.
    #[inline(always)]
    pub(crate) fn end_poll(&self, poll: PollNumber, length: Ticks, now: Ticks) {
        // First: a reader between the two misses the poll, rather than counting it twice.
        self.since.store(now, Ordering::Relaxed);
        let busy = self.busy.load(Ordering::Relaxed) + length;
        self.busy.store(busy, Ordering::Relaxed);
        // Release: a reader that sees the even phase sees this poll's fields.
        self.phase.store(poll.0 & !1, Ordering::Release);
    }

    /// Whether the poll under way has finished the task. Only the polling thread.
    pub(crate) fn is_closed(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Whether something woke the task since its current poll began. Only the polling thread.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed) == self.poll()
    }

    /// How many polls are over, and how long they took in all. Only the poller, between two polls.
    pub(crate) fn finished(&self) -> (u64, Ticks) {
        (self.poll(), self.busy.load(Ordering::Relaxed))
    }

    /// For tasks that are seen from outside only: when the last poll ended, if there was one.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn last_poll_ended(&self) -> Option<Ticks> {
        let polled = self.phase.load(Ordering::Relaxed) != 0;
        polled.then(|| self.since.load(Ordering::Relaxed))
    }

    /// For tasks that are seen from outside only: a poll of `length` ended just now.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn note_foreign_poll(&self, thread: ThreadNumber, length: Ticks, now: Ticks) {
        let phase = self.phase.load(Ordering::Relaxed) & !1;
        self.phase.store(phase + 3, Ordering::Relaxed);
        fence(Ordering::Release);
        self.busy.store(
            self.busy.load(Ordering::Relaxed) + length,
            Ordering::Relaxed,
        );
        self.worker
            .store(worker_word(thread, (phase + 2) >> 1), Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        self.phase.store(phase + 2, Ordering::Release);
    }
}
