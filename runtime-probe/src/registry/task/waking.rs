//! Wakes: time and source of the first wake since a poll, and the wait that it ends.

use super::flags::FROZEN;
use super::{Kind, Record};
use crate::clock::Ticks;
use crate::primitive::Ordering;
use crate::registry::threads::ThreadNumber;
use crate::registry::wake_slot::Written;
use crate::stack::wait_set::WaitSet;

/// The number of generations of a waker: as many as fit into the low bits of a pointer to a record.
pub(crate) const GENERATIONS: usize = align_of::<Record>();

/// After so many polls in a row in which a task woke itself through a waker of an older generation, its generation is
/// frozen. One such poll is harmless (a task that sends to itself). A leaf that wakes the waker which it replaces does
/// so in every poll, endlessly.
const FREEZE_AFTER: u32 = 3;

/// The bits of `self_wakes` with the generation.
pub(super) const GENERATION: u32 = GENERATIONS as u32 - 1;

/// The source of a wake. Packed: a task is its id, a thread is its number with [`THREAD`], and unknown is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waking {
    Unknown,
    Task(u64),
    Thread(ThreadNumber),
}

/// Ids of tasks are below.
const THREAD: u64 = 1 << 62;

/// A bit of `woken_by`: the wake came through the only waker that existed. The bits above are the packed source.
pub(super) const ALONE: u64 = 1;

impl Waking {
    pub(crate) fn pack(self) -> u64 {
        match self {
            Waking::Unknown => 0,
            Waking::Task(id) => id,
            Waking::Thread(number) => u64::from(number.0) | THREAD,
        }
    }

    pub(crate) fn unpack(word: u64) -> Self {
        match word {
            0 => Waking::Unknown,
            word if word & THREAD != 0 => Waking::Thread(ThreadNumber(word as u32)),
            id => Waking::Task(id),
        }
    }
}

/// The phase of a record at a wake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WokenPhase(u64);

impl WokenPhase {
    /// Whether the task is being polled.
    #[inline(always)]
    pub(crate) fn is_polling(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A wait that has ended, or a part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedWait {
    /// The end of the poll that registered.
    pub(crate) began: Ticks,
    /// The wake.
    pub(crate) ended: Ticks,
    /// The wait continues: the task was polled for another reason.
    pub(crate) goes_on: bool,
    pub(crate) waits: Option<&'static WaitSet>,
}

impl Record {
    /// The earliest time at which the task can have become ready for the poll that is about to begin.
    #[inline(always)]
    pub(crate) fn ready_at(&self) -> Ticks {
        let woken = self.wake_at.load(Ordering::Relaxed);
        woken.max(self.since.load(Ordering::Relaxed))
    }

    /// The wait that ended with the wake before the poll that is about to begin; `None` if that wake came while the task
    /// was still polled, or never came.
    ///
    /// A nested future is also polled because the task around it was woken. Then its wait continues after this poll,
    /// and the part up to `now` has [`EndedWait::goes_on`].
    pub(crate) fn ended_wait(&self, now: impl FnOnce() -> Ticks) -> Option<EndedWait> {
        let polls = self.phase.load(Ordering::Relaxed) >> 1;
        if polls == 0 {
            return None;
        }
        // Acquire: pairs with the Release in `note_wake`.
        let goes_on = self.woken.load(Ordering::Acquire) != polls;
        let ended = match goes_on {
            false => self.wake_at.load(Ordering::Relaxed),
            true if self.kind() == Kind::Nested => now(),
            true => return None,
        };
        (ended != 0).then(|| EndedWait {
            began: self.since.load(Ordering::Relaxed),
            ended,
            goes_on,
            waits: self.last_waits(),
        })
    }

    /// (time that the task waited from its last poll to the wake, begin of its ready time), at the begin of a poll. The
    /// first is `None` if it was woken during its last poll. Both are `None` if it was not woken (a nested future that
    /// is polled with the task around it).
    pub(crate) fn wait_and_ready_time(&self) -> (Option<Ticks>, Option<Ticks>) {
        let polls = self.poll();
        let (since, woken) = (
            self.since.load(Ordering::Relaxed),
            self.wake_at.load(Ordering::Relaxed),
        );
        // Acquire: pairs with the Release in `note_wake`.
        match self.woken.load(Ordering::Acquire) == polls || polls == 0 {
            false => (None, None),
            true if polls == 0 || woken == 0 => (None, Some(since)),
            true => (Some(woken.saturating_sub(since)), Some(woken.max(since))),
        }
    }

    /// Adds the ready time before the poll that is about to begin. Only the poller.
    pub(crate) fn add_delay(&self, delay: Ticks) {
        let sum = self.delay.load(Ordering::Relaxed) + delay;
        self.delay.store(sum, Ordering::Relaxed);
    }

    /// Records a wake. Only the first wake since the poll began counts.
    ///
    /// `consumed`: the wake consumes its waker.
    #[inline(always)]
    pub(crate) fn note_wake(
        &self,
        consumed: bool,
        now: impl FnOnce() -> Ticks,
        by: impl FnOnce() -> Waking,
    ) {
        if let Some(phase) = self.phase_to_wake() {
            // A task that is woken while it is polled becomes runnable at the end of that poll, whose stamp is taken anyway.
            let at = if phase.is_polling() { 0 } else { now() };
            let by = by();
            let by_itself = phase.is_polling() && by == Waking::Task(self.id());
            self.note_first_wake(phase, consumed, at, by.pack(), by_itself);
        }
    }

    /// The phase at a wake; `None` if it is not the first wake since the poll began.
    #[inline(always)]
    pub(crate) fn phase_to_wake(&self) -> Option<WokenPhase> {
        let phase = self.phase.load(Ordering::Relaxed);
        let is_first = self.woken.load(Ordering::Relaxed) != phase >> 1;
        is_first.then_some(WokenPhase(phase))
    }

    /// Records the first wake of a phase. `at` is 0 during a poll, and `by` is packed. `by_itself`: the wake came from inside
    /// that poll.
    #[inline(always)]
    pub(crate) fn note_first_wake(
        &self,
        phase: WokenPhase,
        consumed: bool,
        at: Ticks,
        by: u64,
        by_itself: bool,
    ) {
        self.wake_at.store(at, Ordering::Relaxed);
        if by_itself {
            self.count_self_wake();
        }
        // The wrapper holds the other reference.
        let alone = consumed && self.refs.load(Ordering::Relaxed) as u32 == 2;
        let alone = if alone { ALONE } else { 0 };
        self.woken_by.store(by << 1 | alone, Ordering::Relaxed);
        // Release: a reader that sees this poll's number sees its stamp.
        self.woken.store(phase.0 >> 1, Ordering::Release);
    }

    /// Counts a wake from inside the task's own poll. Only the polling thread writes this word.
    #[inline]
    fn count_self_wake(&self) {
        let word = self.self_wakes.load(Ordering::Relaxed);
        let counted = word.checked_add(GENERATION + 1).unwrap_or(word);
        self.self_wakes.store(counted, Ordering::Relaxed);
    }

    /// Records a wake through a waker of an older generation, from inside the task's own poll.
    #[cold]
    pub(crate) fn note_stale_self_wake(&self) {
        // The upper bits are the poll's number, the lower ones the length of the run.
        let polls = (self.phase.load(Ordering::Relaxed) >> 1) as u32 & 0x00ff_ffff;
        let last = self.stale_wakes.load(Ordering::Relaxed);
        let (poll, run) = (last >> 8, last & 0xff);
        let run = match polls.wrapping_sub(poll) & 0x00ff_ffff {
            0 => return,
            1 => run + 1,
            _ => 1,
        };
        self.stale_wakes
            .store(polls << 8 | run.min(0xff), Ordering::Relaxed);
        let flags = self.flags.load(Ordering::Relaxed);
        if run >= FREEZE_AFTER && flags & FROZEN == 0 {
            let counted = self.self_wakes.load(Ordering::Relaxed) & !GENERATION;
            self.self_wakes
                .store(counted | polls & GENERATION, Ordering::Relaxed);
            // Only the poller writes flags, so a store loses nothing.
            self.flags.store(flags | FROZEN, Ordering::Relaxed);
        }
    }

    /// Passes a wake on to the task's own waker.
    ///
    /// # Safety
    /// The caller holds a reference that came from a poll of this record, or that [`Record::retain_for`] gave for a view
    /// of a finished poll.
    #[expect(unsafe_code, reason = "reads the waker slot")]
    pub(crate) unsafe fn wake(&self) {
        // SAFETY: the reference came from a poll, which wrote the slot before.
        unsafe { self.slot.wake(self.written()) }
    }

    /// The same by a waker of ours, which knows how the slot of its record is written.
    ///
    /// # Safety
    /// The caller holds a reference that came from a poll of this record, and `written` is what the record has.
    #[cfg(not(probe_loom))]
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads the waker slot")]
    pub(crate) unsafe fn wake_by_waker(&self, written: Written) {
        debug_assert_eq!(written, self.written());
        match written {
            // SAFETY: the poll that made the waker wrote the slot before.
            Written::Once => unsafe { self.slot.wake_written() },
            // SAFETY: the same.
            Written::Often => unsafe { self.slot.wake(written) },
        }
    }
}
