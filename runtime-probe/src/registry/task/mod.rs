//! The record of a task.
//!
//! The memory of records is never freed ([`super::slab`]), so a reader may read any record at any time; it checks that
//! its copy is consistent. Reading keeps no task alive.
//!
//! | field | written by | when |
//! |---|---|---|
//! | `refs`, `slot` | poller and wakers | see below |
//! | `phase`, `since`, `busy`, `delay`, `worker`, `waits`, `waits_poll`, `self_wakes`, `stale_wakes`, `flags`, `next_batch`, the upper bits of `pc` and `location` | the polling thread | during or around a poll |
//! | `woken`, `wake_at`, `woken_by` | the first thread that wakes the task since the poll began | any time |
//! | `id` | the spawner or the first poll, the same value | once |
//! | the rest | the spawner | before the record is published |
//!
//! Invariants:
//! 1. `version` is odd while the record is a task's and even while it is free. MUST change before any other field is
//!    written for the next owner; otherwise a reader mixes two tasks. It wraps after 2^31 owners: no reader pauses for
//!    that long.
//! 2. `phase` is `polls << 1 | polling`. It changes before and after every poll, so a reader that finds it even and
//!    unchanged has read fields that belong together.
//! 3. A wake stores the number of the poll it follows in `woken`. `woken == polls` and not polling means runnable. Two
//!    wakers may race for the stamp; both are right to within nanoseconds. A waker that is delayed between reading the
//!    number and storing it may overwrite a newer stamp; the task is then shown as waiting until its next poll.
//! 4. The record is returned when the count in `refs` falls to 0: the wrapper holds a reference, and so does each of
//!    our wakers. The upper half of `refs` is the version. A reader that takes a reference MUST compare both at once.
//!    Otherwise it may increment the count of the next owner, who still counts with plain stores, and a count is lost.
//!
//! In reading order: [`flags`], [`labels`], [`references`], [`phase`], [`waking`], [`waits`], [`view`].

mod flags;
mod labels;
mod phase;
mod references;
mod view;
mod waits;
mod waking;

use super::wake_slot::WakeSlot;
pub(crate) use super::wake_slot::Written;
use crate::clock::Ticks;
use crate::labels::LabelSet;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use crate::stack::raw::FutureMeta;
use crate::stack::wait_set::WaitSet;
pub(crate) use flags::PollFlags;
use flags::{OFTEN, UNPREPARED};
use phase::IDLE;
pub(crate) use phase::{PollNumber, TOLD_AT_ITS_END};
use references::counted;
use std::panic::Location;
#[cfg(feature = "rt")]
pub(crate) use view::TokioTask;
pub(crate) use view::View;
pub(crate) use waking::{EndedWait, GENERATIONS, Waking};

/// The kind of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `spawn`.
    Task,
    /// `spawn_local`.
    Local,
    /// The root of a `block_on`.
    BlockOn,
    /// A future inside of a task, wrapped by the user.
    Nested,
    /// The closure of a `spawn_blocking`.
    Blocking,
    /// A task that a dependency spawned through plain tokio. The hooks show it.
    Foreign,
}

impl Kind {
    /// The kind with that number.
    #[inline(always)]
    pub(crate) fn of(number: u8) -> Option<Kind> {
        Some(match number {
            0 => Kind::Task,
            1 => Kind::Local,
            2 => Kind::BlockOn,
            3 => Kind::Nested,
            4 => Kind::Blocking,
            5 => Kind::Foreign,
            _ => return None,
        })
    }

    fn written(self) -> Written {
        match self {
            Kind::BlockOn | Kind::Nested => Written::Often,
            Kind::Task | Kind::Local | Kind::Blocking | Kind::Foreign => Written::Once,
        }
    }
}

/// The spawn of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spawn {
    pub(crate) location: &'static Location<'static>,
    /// An address inside the spawning function; 0 if unknown.
    pub(crate) pc: usize,
    /// The task that spawned it; 0 for none.
    pub(crate) parent: u64,
    /// The labels in force at the spawn.
    pub(crate) labels: LabelSet,
}

/// A task's record.
#[repr(C, align(64))]
pub(crate) struct Record {
    refs: AtomicU64,
    slot: WakeSlot,
    phase: AtomicU64,
    since: AtomicU64,
    wake_at: AtomicU64,
    woken: AtomicU64,
    // Second cache line: written by the poller, except `woken_by`.
    waits: AtomicPtr<WaitSet>,
    busy: AtomicU64,
    delay: AtomicU64,
    /// The mark of the poll that `waits` belongs to, see [`waits`].
    waits_poll: AtomicU32,
    version: AtomicU32,
    /// Above the bits of [`waking::GENERATION`]: the number of polls in which the task woke itself. In these bits: the
    /// generation at which it was frozen.
    self_wakes: AtomicU32,
    /// The last poll in which the task woke itself through a waker of an older generation, and how many such polls
    /// there were in a row.
    stale_wakes: AtomicU32,
    /// The thread of the last poll, and a mark outside of polls.
    worker: AtomicU32,
    _unused: AtomicU32,
    flags: AtomicU64,
    id: AtomicU64,
    woken_by: AtomicU64,
    // Third cache line: written once.
    parent: AtomicU64,
    /// `location` and `pc` also have label sets, see [`labels`].
    location: AtomicPtr<Location<'static>>,
    pc: AtomicUsize,
    meta: AtomicPtr<FutureMeta>,
    spawned: AtomicU64,
    /// Of a free record: the next one of its list. Of a nested future: the record around it. Of a local task: the
    /// number of its `LocalSet`, as an address. Of a closure: the address of tokio's task.
    pub(in crate::registry) next: AtomicPtr<Record>,
    /// Of a free record: the next list. Of a task: the word of [`Record::set_noted`], if it was set.
    pub(in crate::registry) next_batch: AtomicPtr<Record>,
}

/// A free record. A macro, because loom's types have no const constructors.
macro_rules! free {
    () => {
        Record {
            refs: AtomicU64::new(0),
            slot: WakeSlot::new(),
            phase: AtomicU64::new(0),
            since: AtomicU64::new(0),
            wake_at: AtomicU64::new(0),
            woken: AtomicU64::new(0),
            waits: AtomicPtr::new(std::ptr::null_mut()),
            busy: AtomicU64::new(0),
            delay: AtomicU64::new(0),
            waits_poll: AtomicU32::new(0),
            version: AtomicU32::new(0),
            self_wakes: AtomicU32::new(0),
            stale_wakes: AtomicU32::new(0),
            worker: AtomicU32::new(IDLE),
            _unused: AtomicU32::new(0),
            flags: AtomicU64::new(0),
            id: AtomicU64::new(0),
            woken_by: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            location: AtomicPtr::new(std::ptr::null_mut()),
            pc: AtomicUsize::new(0),
            meta: AtomicPtr::new(std::ptr::null_mut()),
            spawned: AtomicU64::new(0),
            next: AtomicPtr::new(std::ptr::null_mut()),
            next_batch: AtomicPtr::new(std::ptr::null_mut()),
        }
    };
}

impl Record {
    #[cfg(not(probe_loom))]
    pub(in crate::registry) const fn free() -> Self {
        free!()
    }

    #[cfg(probe_loom)]
    pub(in crate::registry) fn free() -> Self {
        free!()
    }

    /// The record in a waker's data.
    ///
    /// # Safety
    /// `data` is that of a waker of ours: the address of a record, and a generation.
    #[inline(always)]
    #[expect(unsafe_code, reason = "records live for ever")]
    pub(crate) unsafe fn of_waker<'a>(data: *const ()) -> &'a Record {
        let record = std::ptr::with_exposed_provenance(data.addr() & !(GENERATIONS - 1));
        // SAFETY: without the generation it is the address of a record, and records live for ever.
        unsafe { &*record }
    }

    /// Makes a free record that of a task, with one reference.
    #[inline(always)]
    pub(in crate::registry) fn open(
        &self,
        kind: Kind,
        id: u64,
        spawn: Option<Spawn>,
        meta: Option<&'static FutureMeta>,
        now: Ticks,
    ) {
        let set = |word: &AtomicU64, value: u64| word.store(value, Ordering::Relaxed);
        // Readers must see the even version, which another thread may have written, before any field of this owner.
        fence(Ordering::Release);
        let version = self.version.load(Ordering::Relaxed);
        debug_assert!(version.is_multiple_of(2));
        set(&self.refs, counted(version.wrapping_add(1), 1));
        self.next.store(std::ptr::null_mut(), Ordering::Relaxed);
        set(&self.phase, 0);
        set(&self.since, now);
        set(&self.wake_at, now);
        set(&self.woken, 0);
        self.waits.store(std::ptr::null_mut(), Ordering::Relaxed);
        self.waits_poll.store(0, Ordering::Relaxed);
        set(&self.busy, 0);
        set(&self.delay, 0);
        self.self_wakes.store(0, Ordering::Relaxed);
        self.stale_wakes.store(0, Ordering::Relaxed);
        self.worker.store(IDLE, Ordering::Relaxed);
        let often = if kind.written() == Written::Often {
            OFTEN
        } else {
            0
        };
        self.flags
            .store(kind as u64 | often | UNPREPARED, Ordering::Relaxed);
        set(&self.id, id);
        set(&self.woken_by, 0);
        let (parent, location, pc) = match spawn {
            Some(spawn) => (spawn.parent, std::ptr::from_ref(spawn.location), spawn.pc),
            None => (0, std::ptr::null(), 0),
        };
        set(&self.parent, parent);
        self.location.store(location.cast_mut(), Ordering::Relaxed);
        self.pc.store(labels::address_of(pc), Ordering::Relaxed);
        if let Some(spawn) = spawn.filter(|spawn| spawn.labels.number() != 0) {
            self.inherit(spawn.labels);
        }
        self.meta.store(
            meta.map_or(std::ptr::null(), std::ptr::from_ref).cast_mut(),
            Ordering::Relaxed,
        );
        set(&self.spawned, now);
        // Release: a reader that sees the odd version sees the fields above.
        self.version
            .store(version.wrapping_add(1), Ordering::Release);
    }

    /// Ends the use of the record by its task. The last reference is gone.
    #[expect(unsafe_code, reason = "empties the waker slot")]
    pub(in crate::registry) fn shut(&self) {
        // SAFETY: no reference is left, so there is no waker of ours and no poller.
        unsafe { self.slot.clear() };
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        // The next owner's writes come after the even version.
        fence(Ordering::Release);
    }

    /// The task's id; 0 while it is not known.
    #[inline(always)]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Sets the id. The spawner or the first poll does it; both set the same.
    #[cfg(any(feature = "rt", probe_loom))]
    #[inline(always)]
    pub(crate) fn set_id(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// When the task was spawned.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn spawned(&self) -> Ticks {
        self.spawned.load(Ordering::Relaxed)
    }

    /// Keeps a word for the begin of the next poll. Only the poller, between two polls.
    pub(crate) fn set_noted(&self, noted: u64) {
        // A number in place of a pointer: no reader follows it while the record is a task's. With 32-bit pointers, it
        // matches no recording.
        let word = std::ptr::without_provenance_mut(noted as usize);
        self.next_batch.store(word, Ordering::Relaxed);
    }

    /// The word of [`Record::set_noted`], or an arbitrary one if it was not set.
    pub(crate) fn noted(&self) -> u64 {
        self.next_batch.load(Ordering::Relaxed).addr() as u64
    }

    /// The spawn location.
    #[expect(unsafe_code, reason = "reads a pointer to a location")]
    pub(crate) fn location(&self) -> Option<&'static Location<'static>> {
        let location = self.location.load(Ordering::Relaxed);
        // SAFETY: null or a 'static location.
        unsafe { location.map_addr(labels::address_of).as_ref() }
    }

    /// An address inside the function that spawned the task; 0 if not known.
    pub(crate) fn pc(&self) -> usize {
        labels::address_of(self.pc.load(Ordering::Relaxed))
    }

    /// Sets the `LocalSet` of a local task. Only the spawner, before tokio has the task.
    pub(crate) fn set_local_set(&self, number: u32) {
        let word = std::ptr::without_provenance_mut(number as usize);
        self.next.store(word, Ordering::Relaxed);
    }

    /// Sets the address of tokio's task of a closure. Only the spawner.
    #[cfg(feature = "rt")]
    pub(crate) fn set_tokio_task(&self, address: usize) {
        let word = std::ptr::without_provenance_mut(address);
        self.next.store(word, Ordering::Relaxed);
    }

    /// Sets the record in whose poll this nested future is being polled.
    #[inline(always)]
    pub(crate) fn set_outer(&self, outer: *const Record) {
        self.next.store(outer.cast_mut(), Ordering::Relaxed);
    }

    /// The type of the future, if it is known.
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    pub(crate) fn meta(&self) -> Option<&'static FutureMeta> {
        // SAFETY: null or a 'static description.
        unsafe { self.meta.load(Ordering::Relaxed).as_ref() }
    }
}
