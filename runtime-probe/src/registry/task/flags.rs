//! The word of flags in a record: the kind of the task, its runtime and name, and the state of its waker slot.

use super::{Kind, Record};
use crate::primitive::{self, Ordering};
use crate::registry::names::NameNumber;
#[cfg(any(feature = "rt", probe_loom))]
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::wake_slot::Written;

pub(super) const FROZEN: u64 = 1 << 8;

/// The task has not ended. Its future has, if wakers may exist without this.
pub(super) const OPEN: u64 = 1 << 9;

/// The slot is [`Written::Often`].
pub(super) const OFTEN: u64 = 1 << 10;

/// The slot was not written yet.
pub(super) const UNPREPARED: u64 = 1 << 11;

/// It is no task in tokio's list of tasks.
pub(super) const UNLISTED: u64 = 1 << 12;

/// The poller keeps a counted reference for the task's next registration, see [`super::references`].
pub(super) const KEPT: u64 = 1 << 13;

/// Low bits of `flags`: the kind.
pub(super) const KIND: u64 = 0xff;

/// The next 16 bits of `flags`: the runtime; 0 if it is not known.
pub(super) const RUNTIME_SHIFT: u32 = 16;

/// The upper half of `flags`: the name; 0 for none, so a task without a name writes nothing.
pub(super) const NAME_SHIFT: u32 = 32;

/// Flags as of the start of a poll. Only the polling thread changes these bits, so the copy stays valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollFlags(u64);

impl PollFlags {
    /// Whether the poll needs [`Record::prepare`] before it begins: the first poll does, and each poll of a record
    /// whose waker may change.
    #[inline(always)]
    pub(crate) fn needs_preparing(self) -> bool {
        self.0 & (UNPREPARED | OFTEN) != 0
    }

    /// Whether it is the first poll of a task, and nothing else is to be considered.
    #[cfg(feature = "rt")]
    #[inline(always)]
    pub(crate) fn is_first(self) -> bool {
        self.0 & (UNPREPARED | OFTEN | FROZEN) == UNPREPARED
    }

    /// Whether the poll needs no preparation, and the generation of its waker is the poll's.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & (UNPREPARED | OFTEN | FROZEN) == 0
    }

    /// Whether the task's wakers keep their generation.
    #[inline(always)]
    pub(super) fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    /// Whether the wrapper is the whole of a task, polled by an executor alone.
    #[inline(always)]
    pub(crate) fn is_top(self) -> bool {
        self.0 & OFTEN == 0
    }
}

impl Record {
    /// Sets the name that the user gave the task. Only the spawner, before tokio has the task.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn set_name(&self, name: NameNumber) {
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags
            .store(flags | u64::from(name.0) << NAME_SHIFT, Ordering::Relaxed);
    }

    /// Sets the runtime that polls the task. Only the polling thread, once; or the spawner, before the first poll.
    #[cfg(any(feature = "rt", probe_loom))]
    #[inline(always)]
    pub(crate) fn set_runtime(&self, runtime: RuntimeNumber) {
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(
            flags | u64::from(runtime.0) << RUNTIME_SHIFT,
            Ordering::Relaxed,
        );
    }

    /// The name of [`Record::set_name`], if it was set.
    pub(crate) fn name(&self) -> NameNumber {
        NameNumber((self.flags.load(Ordering::Relaxed) >> NAME_SHIFT) as u32)
    }

    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        let flags = self.flags.load(Ordering::Relaxed);
        Kind::of((flags & KIND) as u8).unwrap_or(Kind::Task)
    }

    /// The flags for the poll that is about to begin. Only the poller.
    #[inline(always)]
    pub(crate) fn poll_flags(&self) -> PollFlags {
        PollFlags(self.own_flags())
    }

    /// The flags, for the only thread that may write them now: the one that polls the task or drops its wrapper.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a word that no other thread writes")]
    fn own_flags(&self) -> u64 {
        // SAFETY: no other thread writes them.
        unsafe { primitive::read_own(&self.flags) }
    }

    /// Whether a poll has finished a task that is in tokio's list of tasks, and keeps no reference. Only the thread that drops the
    /// wrapper.
    #[inline(always)]
    pub(crate) fn is_finished_task(&self) -> bool {
        self.own_flags() & (UNLISTED | OPEN | KEPT) == 0
    }

    /// Whether the poller keeps a reference.
    pub(super) fn keeps(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & KEPT != 0
    }

    /// Keeps a reference. `false` if one is kept already. Only the poller, as for [`Record::take_kept`].
    pub(super) fn keep(&self) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        // Only the poller writes flags, so a store loses nothing.
        self.flags.store(flags | KEPT, Ordering::Relaxed);
        flags & KEPT == 0
    }

    /// Takes the kept reference. `false` if there is none.
    pub(super) fn take_kept(&self) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags & !KEPT, Ordering::Relaxed);
        flags & KEPT != 0
    }

    /// Whether it is a task in tokio's list of tasks.
    #[inline(always)]
    pub(crate) fn is_listed_by_tokio(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & UNLISTED == 0
    }

    #[inline(always)]
    pub(super) fn written(&self) -> Written {
        if self.flags.load(Ordering::Relaxed) & OFTEN == 0 {
            Written::Once
        } else {
            Written::Often
        }
    }

    /// [`Record::kind`], as a number.
    #[inline(always)]
    pub(crate) fn kind_number(&self) -> u8 {
        (self.flags.load(Ordering::Relaxed) & KIND) as u8
    }

    /// Marks the task as ended, though wakers may still exist. Readers leave it out from now on.
    #[inline(always)]
    pub(crate) fn close(&self) {
        // Only the poller writes flags, and the thread that drops the task is the only one that could poll it.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags & !OPEN, Ordering::Relaxed);
    }

    /// The kind of the task and its runtime, also if its future has returned; `None` for a free record.
    #[cfg(feature = "rt")]
    pub(crate) fn owner(&self) -> Option<(Kind, RuntimeNumber)> {
        let version = self.version(Ordering::Acquire);
        let flags = self.flags.load(Ordering::Relaxed);
        let kind = Kind::of((flags & KIND) as u8)?;
        let runtime = RuntimeNumber((flags >> RUNTIME_SHIFT) as u16);
        (!version.is_multiple_of(2)).then_some((kind, runtime))
    }
}
