//! Wakes: time and source of the first wake since a poll, and the wait that it ends.

use super::flags::FROZEN;
use super::waker_data::Generation;
use super::{Kind, Record};
use crate::clock::Ticks;
use crate::primitive::Ordering;
use crate::registry::threads::ThreadNumber;
use crate::registry::wake_slot::Written;
use crate::stack::wait_set::WaitSet;

/// After so many polls in a row in which a task woke itself through a waker of an older generation, its generation is
/// frozen. One such poll is harmless (a task that sends to itself). A leaf that wakes the waker which it replaces does
/// so in every poll, endlessly.
const FREEZE_AFTER: u16 = 3;

/// Where the polls in which the task woke itself are counted in the word of marks. The greatest number stays.
const SELF_WAKES: u64 = u32::MAX as u64;

/// Where the word of marks has the last poll in which the task woke itself through a waker of an older generation, and how many
/// such polls there were in a row. Of a frozen record: the phase whose generation its wakers have.
const STALE_SHIFT: u32 = 32;
const STALE: u64 = 0xffff << STALE_SHIFT;
/// Bits of the number of polls in a row, below that of the poll.
const RUN_BITS: u32 = 2;
/// The greatest number of a poll there.
const STALE_POLL: u16 = u16::MAX >> RUN_BITS;

/// The polls in which the task woke itself, in the word of marks.
pub(super) fn self_wakes_of(marks: u64) -> u64 {
    marks & SELF_WAKES
}

/// How far a wake may be behind, in units of `woken`, before it is forgotten.
const OLD: u32 = 1 << 30;

/// Whether `woken` was stored in or after the poll of this phase, before the next one.
#[inline(always)]
pub(super) fn is_of_phase(woken: u32, phase: u64) -> bool {
    // They differ in the lowest bit at most.
    woken ^ phase as u32 <= 1
}

/// The source of a wake. Packed: a task is its id, a thread is its number with [`THREAD`], and unknown is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waking {
    Unknown,
    Task(u64),
    Thread(ThreadNumber),
}

/// Ids of tasks are below.
const THREAD: u64 = 1 << 62;

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
        let phase = self.phase.load(Ordering::Relaxed);
        if phase >> 1 == 0 {
            return None;
        }
        // Acquire: pairs with the Release in `note_wake`.
        let goes_on = !is_of_phase(self.woken.load(Ordering::Acquire), phase);
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
        let phase = self.phase.load(Ordering::Relaxed);
        let polls = phase >> 1;
        let (since, woken) = (
            self.since.load(Ordering::Relaxed),
            self.wake_at.load(Ordering::Relaxed),
        );
        // Acquire: pairs with the Release in `note_wake`.
        match is_of_phase(self.woken.load(Ordering::Acquire), phase) || polls == 0 {
            false => (None, None),
            true if polls == 0 || woken == 0 => (None, Some(since)),
            true => (Some(woken.saturating_sub(since)), Some(woken.max(since))),
        }
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
        let is_first = !is_of_phase(self.woken.load(Ordering::Relaxed), phase);
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
        // A reader compares it: a wake has less to do.
        let wakers = match consumed {
            true => self.wakers_at_a_wake(),
            false => 0,
        };
        self.woken_among.store(wakers, Ordering::Relaxed);
        self.woken_by.store(by, Ordering::Relaxed);
        // Release: a reader that sees this poll's number sees its stamp.
        self.woken.store(phase.0 as u32, Ordering::Release);
    }

    /// Counts a wake from inside the task's own poll. Only the polling thread writes this word.
    #[inline(always)]
    fn count_self_wake(&self) {
        let marks = self.marks.load(Ordering::Relaxed);
        if marks as u32 != u32::MAX {
            self.marks.store(marks + 1, Ordering::Relaxed);
        }
    }

    /// Before a poll that may follow no wake, as those of nested futures: makes sure that the last wake is not taken for one of
    /// this poll after 2^31 polls. Only the poller.
    pub(super) fn forget_an_old_wake(&self) {
        let phase = self.phase.load(Ordering::Relaxed) as u32;
        let woken = self.woken.load(Ordering::Relaxed);
        if phase.wrapping_sub(woken) > OLD {
            // A wake that another thread stores meanwhile stays.
            let _ = self.woken.compare_exchange(
                woken,
                // Not 0, which is no wake.
                phase.wrapping_sub(OLD / 2) | 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Of a frozen record: the generation of its wakers.
    pub(super) fn frozen_generation(&self) -> Generation {
        let phase = (self.marks.load(Ordering::Relaxed) & STALE) >> STALE_SHIFT;
        Generation::of_phase(phase)
    }

    /// Records a wake through a waker of an older generation, from inside the task's own poll.
    #[cold]
    pub(crate) fn note_stale_self_wake(&self) {
        let flags = self.flags.load(Ordering::Relaxed);
        if flags & FROZEN != 0 {
            return;
        }
        let phase = self.phase.load(Ordering::Relaxed);
        let poll = (phase >> 1) as u16 & STALE_POLL;
        let marks = self.marks.load(Ordering::Relaxed);
        let last = (marks >> STALE_SHIFT) as u16;
        let (last_poll, run) = (last >> RUN_BITS, last & ((1 << RUN_BITS) - 1));
        let run = match poll.wrapping_sub(last_poll) & STALE_POLL {
            0 if run != 0 => return,
            1 if run != 0 => run + 1,
            _ => 1,
        };
        let is_frozen = run >= FREEZE_AFTER;
        let stale = match is_frozen {
            true => phase as u16,
            false => poll << RUN_BITS | run,
        };
        let others = marks & !STALE;
        self.marks
            .store(others | u64::from(stale) << STALE_SHIFT, Ordering::Relaxed);
        if is_frozen {
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

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use crate::labels::LabelSet;
    use crate::registry::sites::Site;
    use crate::registry::task::Opened;

    fn nested() -> Record {
        let record = Record::free();
        let opened = Opened {
            site: Site::NOWHERE,
            parent: 0,
        };
        record.open(Kind::Nested, 1, opened, 7, || LabelSet::NONE);
        record
    }

    #[test]
    fn a_wake_of_long_ago_is_not_taken_for_a_new_one() {
        for woken in [false, true] {
            let record = nested();
            record.phase.store(2, Ordering::Relaxed);
            if woken {
                record.note_wake(false, || 9, || Waking::Task(3));
                assert_eq!(record.view().unwrap().woken, Some((9, Waking::Task(3))));
            }
            // Each step is less than the number of polls after which a wake is forgotten.
            for step in 1..64 {
                record.phase.store(step << 28, Ordering::Relaxed);
                record.forget_an_old_wake();
                assert!(!record.is_woken(), "{step}");
                let view = record.view().unwrap();
                assert_eq!(
                    (view.woken, view.wake_at),
                    (None, if woken { 9 } else { 7 })
                );
            }
            record.note_wake(false, || 11, || Waking::Unknown);
            assert!(record.is_woken());
        }
    }

    #[test]
    fn marks_do_not_touch_each_other() {
        let record = nested();
        record.set_labels(LabelSet::of_number(u16::MAX));
        for poll in 0..5 {
            record.phase.store(poll << 1 | 1, Ordering::Relaxed);
            record.note_stale_self_wake();
            record.note_first_wake(WokenPhase(poll << 1 | 1), false, 0, 1, true);
        }
        assert_eq!(record.labels().number(), u16::MAX);
        assert_eq!(self_wakes_of(record.marks.load(Ordering::Relaxed)), 5);
        let view = record.view().unwrap();
        assert!(view.frozen);
        assert_eq!(record.frozen_generation(), Generation::of_phase(2 << 1 | 1));
        let most = record.marks.load(Ordering::Relaxed) | SELF_WAKES;
        record.marks.store(most, Ordering::Relaxed);
        record.count_self_wake();
        assert_eq!(record.marks.load(Ordering::Relaxed), most);
        record.set_labels(LabelSet::NONE);
        assert_eq!(record.frozen_generation(), Generation::of_phase(2 << 1 | 1));
    }
}
