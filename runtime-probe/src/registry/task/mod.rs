//! The record of a task.
//!
//! The memory of records is never freed ([`super::slab`]), so a reader may read any record at any time; it checks that
//! its copy is consistent. Reading keeps no task alive.
//!
//! | field | written by | when |
//! |---|---|---|
//! | `refs`, `spare`, `slot` | poller and wakers; the spawner and readers count, and the slab takes | see below |
//! | `phase`, `since`, `busy`, `worker`, `waits`, `waits_poll`, `marks`, `flags`, and `next` of a nested future | the polling thread | during or around a poll |
//! | `woken`, `woken_among`, `wake_at`, `woken_by` | the first thread that wakes the task since the poll began | any time |
//! | `id` | the spawner or the first poll, the same value | once |
//! | the rest | the spawner | before the record is published |
//!
//! [`Record::open`] does not write `wake_at`, `woken_by`, `woken_among`, `waits_poll` and `worker`: until the first wake, wait or poll of
//! its task a record has them of its former owner, and a reader MUST know from `woken`, `waits` and `phase` that they are not valid.
//!
//! Invariants:
//! 1. The version, the lower bits of `refs`, is odd while the record is a task's and even while it is free. MUST change before any
//!    other field is written for the next owner; otherwise a reader mixes two tasks. It wraps after 2^28 owners: one reader in
//!    2^28 that pauses for so long may take a reference to another task, and wake it once too often.
//! 2. `phase` is `polls << 1 | polling`. It changes before and after every poll, so a reader that finds it even and
//!    unchanged has read fields that belong together.
//! 3. A wake stores the lower half of the phase in `woken`, and so which poll it follows. That of the current poll and not polling
//!    means runnable. Every poll of a task follows a wake. Of a future that is polled without one, wakes of long ago are
//!    forgotten, so that half a number is enough. Two wakers may race for the stamp; both are right to within nanoseconds. A
//!    waker that is delayed between reading the number and storing it may overwrite a newer stamp; the task is then shown as
//!    waiting until its next poll.
//! 4. The record is returned when the count in `refs` falls to 0: the wrapper holds a reference, and so does each of
//!    our wakers, and one may be left in `spare`. A free record has none there. A reader that takes a reference MUST compare
//!    count and version at once. Otherwise it may increment the count of the next owner, who still counts with plain stores,
//!    and a count is lost.
//!
//! The words are in the order of their use: those that are written once or seldom are first and last, so that no two
//! neighbouring records have words in one cache line that different threads write often.
//!
//! In reading order: [`flags`], [`labels`], [`references`], [`waker_data`], [`phase`], [`waking`], [`waits`], [`view`].

mod flags;
mod labels;
mod phase;
mod references;
mod view;
mod waits;
pub(crate) mod waker_data;
mod waking;

use super::sites::Site;
use super::wake_slot::WakeSlot;
pub(crate) use super::wake_slot::Written;
use crate::clock::Ticks;
use crate::labels::LabelSet;
use crate::primitive::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use crate::stack::raw::FutureMeta;
use crate::stack::wait_set::{OnlyPath, WaitSet};
pub(crate) use flags::PollFlags;
use flags::{OFTEN, OPEN, UNLISTED, UNPREPARED};
use phase::IDLE;
pub(crate) use phase::{PollNumber, TOLD_AT_ITS_END};
pub(crate) use references::Dropped;
use references::{FREE, after, counted};
use std::panic::Location;
#[cfg(feature = "rt")]
pub(crate) use view::TokioTask;
pub(crate) use view::View;
pub(crate) use waker_data::Generation;
pub(crate) use waking::{EndedWait, Waking};

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
}

/// The part of a spawn that [`Record::open`] writes.
#[derive(Clone, Copy, Debug)]
pub(in crate::registry) struct Opened {
    pub(in crate::registry) site: &'static Site,
    /// The task that spawned it; 0 for none.
    pub(in crate::registry) parent: u64,
}

/// A task's record.
#[repr(C)]
#[cfg_attr(target_pointer_width = "64", repr(align(16)))]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(64)))]
pub(crate) struct Record {
    /// Of a free record: the next magazine, as an address.
    parent: AtomicU64,
    site: AtomicPtr<Site>,
    spawned: AtomicU64,
    slot: WakeSlot,
    id: AtomicU64,
    flags: AtomicU64,
    waits: AtomicPtr<OnlyPath>,
    busy: AtomicU64,
    /// The mark of the poll that `waits` belongs to, see [`waits`].
    waits_poll: AtomicU32,
    /// The thread of the last poll, and a mark outside of polls.
    worker: AtomicU32,
    since: AtomicU64,
    phase: AtomicU64,
    refs: AtomicU64,
    /// Lower half of the phase at the last wake; 0 before the first one.
    woken: AtomicU32,
    /// How many wakers there were at that wake, as [`references`] has it; 0 if it did not consume its waker.
    woken_among: AtomicU16,
    /// Whether a counted reference is left for the next registration, see [`references`].
    spare: AtomicU16,
    wake_at: AtomicU64,
    woken_by: AtomicU64,
    /// The labels in force; see [`waking`] for the others.
    marks: AtomicU64,
    /// Of a free record: the next one of its list. Of a nested future: the record around it. Of a local task: the
    /// number of its `LocalSet`, as an address. Of a closure: the address of tokio's task. Above: the labels of the
    /// spawner, see [`labels`].
    pub(in crate::registry) next: AtomicPtr<Record>,
}

/// A free record. A macro, because loom's types have no const constructors.
macro_rules! free {
    () => {
        Record {
            parent: AtomicU64::new(0),
            site: AtomicPtr::new(std::ptr::from_ref(Site::NOWHERE).cast_mut()),
            spawned: AtomicU64::new(0),
            slot: WakeSlot::new(),
            id: AtomicU64::new(0),
            flags: AtomicU64::new(0),
            waits: AtomicPtr::new(WaitSet::NO_WORD),
            busy: AtomicU64::new(0),
            waits_poll: AtomicU32::new(0),
            worker: AtomicU32::new(IDLE),
            since: AtomicU64::new(0),
            phase: AtomicU64::new(0),
            refs: AtomicU64::new(FREE),
            woken: AtomicU32::new(0),
            woken_among: AtomicU16::new(0),
            spare: AtomicU16::new(0),
            wake_at: AtomicU64::new(0),
            woken_by: AtomicU64::new(0),
            marks: AtomicU64::new(0),
            next: AtomicPtr::new(std::ptr::null_mut()),
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
        let record = std::ptr::with_exposed_provenance(waker_data::address(data.addr()));
        // SAFETY: without the generation it is the address of a record, and records live for ever.
        unsafe { &*record }
    }

    /// Makes a free record that of a task, with one reference.
    ///
    /// `labels` are those in force at the spawn. Asked for here, so that nothing is kept for the usual case of none.
    #[inline(always)]
    pub(in crate::registry) fn open(
        &self,
        kind: Kind,
        id: u64,
        spawn: Opened,
        now: Ticks,
        labels: impl FnOnce() -> LabelSet,
    ) {
        let set = |word: &AtomicU64, value: u64| word.store(value, Ordering::Relaxed);
        // Readers must see the even version, which another thread may have written, before any field of this owner.
        fence(Ordering::Release);
        let version = self.version(Ordering::Relaxed);
        debug_assert!(version.is_multiple_of(2));
        self.next.store(std::ptr::null_mut(), Ordering::Relaxed);
        set(&self.phase, 0);
        set(&self.since, now);
        self.woken.store(0, Ordering::Relaxed);
        self.waits.store(WaitSet::NO_WORD, Ordering::Relaxed);
        set(&self.busy, 0);
        set(&self.marks, 0);
        let often = match kind.written() {
            Written::Often => {
                // Wakes of these are forgotten, so that `woken` does not tell whether there was one.
                set(&self.wake_at, now);
                set(&self.woken_by, 0);
                OFTEN
            }
            Written::Once => 0,
        };
        let unlisted = match kind {
            Kind::Task | Kind::Local | Kind::Foreign => 0,
            Kind::BlockOn | Kind::Nested | Kind::Blocking => UNLISTED,
        };
        set(
            &self.flags,
            kind as u64 | often | unlisted | OPEN | UNPREPARED,
        );
        set(&self.id, id);
        set(&self.parent, spawn.parent);
        let site = std::ptr::from_ref(spawn.site);
        self.site.store(site.cast_mut(), Ordering::Relaxed);
        set(&self.spawned, now);
        let labels = labels();
        if labels.number() != 0 {
            self.inherit(labels);
        }
        // Release: a reader that sees the odd version sees the fields above.
        self.refs
            .store(counted(after(version), 1), Ordering::Release);
    }

    /// Ends the use of the record by its task. The last reference is gone.
    #[expect(unsafe_code, reason = "empties the waker slot")]
    pub(in crate::registry) fn shut(&self) {
        // SAFETY: no reference is left, so there is no waker of ours and no poller.
        unsafe { self.slot.clear() };
        self.end_version();
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

    /// The spawn site, with the type of the future.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to an interned site")]
    pub(crate) fn site(&self) -> &'static Site {
        // SAFETY: [`Site::NOWHERE`] or an interned site, which lives for ever.
        unsafe { &*self.site.load(Ordering::Relaxed) }
    }

    /// The spawn location.
    pub(crate) fn location(&self) -> Option<&'static Location<'static>> {
        self.site().location
    }

    /// Of a free record: links the next magazine.
    pub(in crate::registry) fn set_next_magazine(&self, head: *mut Record) {
        let address = head.expose_provenance() as u64;
        self.parent.store(address, Ordering::Relaxed);
    }

    /// Of a free record: the next magazine.
    pub(in crate::registry) fn next_magazine(&self) -> *mut Record {
        let address = self.parent.load(Ordering::Relaxed) as usize;
        std::ptr::with_exposed_provenance_mut(address)
    }

    /// Sets the `LocalSet` of a local task. Only the spawner, before tokio has the task.
    pub(crate) fn set_local_set(&self, number: u32) {
        self.set_next(std::ptr::without_provenance_mut(number as usize));
    }

    /// Sets the address of tokio's task of a closure. Only the spawner.
    #[cfg(feature = "rt")]
    pub(crate) fn set_tokio_task(&self, address: usize) {
        self.set_next(std::ptr::without_provenance_mut(address));
    }

    /// Sets the record in whose poll this nested future is being polled.
    #[inline(always)]
    pub(crate) fn set_outer(&self, outer: *const Record) {
        self.set_next(outer.cast_mut());
    }

    /// Sets `next` of a task, and leaves the labels there.
    fn set_next(&self, next: *mut Record) {
        let labels = self.inherited_labels();
        let next = next.map_addr(|address| labels::pack(address, labels));
        self.next.store(next, Ordering::Relaxed);
    }

    /// The type of the future, if it is known.
    pub(crate) fn meta(&self) -> Option<&'static FutureMeta> {
        self.site().meta
    }
}
