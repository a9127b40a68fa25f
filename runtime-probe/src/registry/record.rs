//! All that is known of one task.
//!
//! A record lives in memory that is never given back ([`super::slab`]), so a reader may look at any record at any time;
//! what it sees is checked for being of one piece. Nobody is kept alive by being looked at.
//!
//! | field | written by | when |
//! |---|---|---|
//! | `refs`, `slot` | poller and wakers | see below |
//! | `phase`, `since`, `busy`, `delay`, `worker`, `waits`, `waits_poll`, `self_wakes`, `stale_wakes`, `flags`, `next_batch` | the polling thread | during or around a poll |
//! | `woken`, `wake_at`, `woken_by` | whoever wakes first since the poll began | any time |
//! | `id` | the spawner or the first poll, the same value | once |
//! | the rest | the spawner | before the record is published |
//!
//! Invariants:
//! 1. `version` is odd while the record is a task's and even while it is free. MUST change before any other field is
//!    written for the next owner; otherwise a reader mixes two tasks. It wraps: a reader would have to look away for two
//!    thousand million owners.
//! 2. `phase` is `polls << 1 | polling`. It changes before and after every poll, so a reader that finds it even and
//!    unchanged has read fields that belong together.
//! 3. A wake stores the number of the poll it follows in `woken`. `woken == polls` and not polling means runnable.
//!    Two wakers may race for the stamp; both are right to within nanoseconds. A waker that is delayed between reading
//!    the number and storing it may undo a newer stamp; the task is then shown as waiting until the poll that follows.
//! 4. The record is given back when the count in `refs` falls to 0: the wrapper holds one, every waker of ours another.
//!    The upper half of `refs` is the version's lower one. A reader that takes a reference compares both at once: MUST not
//!    count on what another owner has begun to count with plain stores; otherwise one of the two counts is lost.

use super::names::NameNumber;
use super::runtimes::RuntimeNumber;
use super::threads::ThreadNumber;
use super::wake_slot::{WakeSlot, Written};
use crate::clock::Ticks;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use crate::stack::raw::{FutureMeta, WaitSet};
use std::panic::Location;
use std::task::Waker;

/// What kind of task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `spawn`.
    Task,
    /// `spawn_local`.
    Local,
    /// The root of a `block_on`.
    BlockOn,
    /// A future inside another, wrapped by hand.
    Nested,
    /// The closure of a `spawn_blocking`.
    Blocking,
    /// A task that a dependency spawned past us; the hooks tell of it.
    Foreign,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Task,
        Kind::Local,
        Kind::BlockOn,
        Kind::Nested,
        Kind::Blocking,
        Kind::Foreign,
    ];

    /// The kind of that number.
    pub(crate) fn of(number: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(number)).copied()
    }

    fn written(self) -> Written {
        match self {
            Kind::BlockOn | Kind::Nested => Written::Often,
            Kind::Task | Kind::Local | Kind::Blocking | Kind::Foreign => Written::Once,
        }
    }
}

/// Where a task was spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spawn {
    pub(crate) location: &'static Location<'static>,
    /// An address inside the spawning function; 0 where unknown.
    pub(crate) pc: usize,
    /// The task that spawned it; 0 for none.
    pub(crate) parent: u64,
}

/// References of one task. Far above it the count would run into the version; threads that race stay below that.
const MOST_REFS: u32 = i32::MAX as u32;

/// How many generations a waker has: the number that fits into the low bits of a pointer to a record.
pub(crate) const GENERATIONS: usize = align_of::<Record>();
/// Polls in a row in which a task woke itself through a waker of an older generation, after which its generation
/// stays. One such poll is innocent (a task that sends to itself). A leaf that wakes the waker it replaces does it in
/// every poll, and would do so for ever.
const FREEZE_AFTER: u32 = 3;

/// The bits of `self_wakes` that are a generation.
const GENERATION: u32 = GENERATIONS as u32 - 1;

const FROZEN: u64 = 1 << 8;
const CLOSED: u64 = 1 << 9;
/// The slot is [`Written::Often`].
const OFTEN: u64 = 1 << 10;
/// The slot has been written.
const PREPARED: u64 = 1 << 11;
/// Low bits of `flags`: the kind.
const KIND: u64 = 0xff;
/// Above them in `flags`, 16 bits: the runtime. 0 where it is not known.
const RUNTIME_SHIFT: u32 = 16;
/// The upper half of `flags`: the name. 0 for none, so a task without one writes nothing for it.
const NAME_SHIFT: u32 = 32;

fn worker_word(thread: ThreadNumber, poll: u64) -> u64 {
    u64::from(thread.0) << 32 | poll & 0xffff_ffff
}

/// A record's flags, read once for a whole poll: what matters of them only the poller changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner(u64);

impl Manner {
    /// Whether the poll needs [`Record::prepare`] before it begins: the first one does, and every one of a record whose
    /// waker may change.
    #[inline(always)]
    pub(crate) fn needs_preparing(self) -> bool {
        self.0 & (PREPARED | OFTEN) != PREPARED
    }

    /// Whether the wrapper is the whole of a task, polled by nobody but an executor.
    #[inline(always)]
    pub(crate) fn is_top(self) -> bool {
        self.0 & OFTEN == 0
    }
}

/// A poll under way, as the phase it wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollNumber(u64);

/// A task's record.
#[repr(C, align(64))]
pub(crate) struct Record {
    refs: AtomicU64,
    slot: WakeSlot,
    phase: AtomicU64,
    since: AtomicU64,
    wake_at: AtomicU64,
    woken: AtomicU64,
    // Second line: the poller's, except `woken_by`.
    waits: AtomicPtr<WaitSet>,
    busy: AtomicU64,
    delay: AtomicU64,
    /// The low half of the number of the poll that `waits` is of.
    waits_poll: AtomicU32,
    version: AtomicU32,
    /// Polls in which the task woke itself, above the bits of [`GENERATION`]. In these the generation that it froze at.
    self_wakes: AtomicU32,
    /// The last poll in which it did so by a waker of an older generation, and how many before it in a row.
    stale_wakes: AtomicU32,
    /// The thread in the upper half, the low half of the number of the poll that it is of below.
    worker: AtomicU64,
    flags: AtomicU64,
    id: AtomicU64,
    woken_by: AtomicU64,
    // Third line: written once.
    parent: AtomicU64,
    location: AtomicPtr<Location<'static>>,
    pc: AtomicUsize,
    meta: AtomicPtr<FutureMeta>,
    spawned: AtomicU64,
    /// While the record is free: the next one of its list. While it is a nested future's: the record around it. While it is a
    /// local task's: the number of its `LocalSet`, as an address.
    pub(super) next: AtomicPtr<Record>,
    /// While the record is free: the next list. While it is a task's, what [`Record::set_noted`] was told, if it was.
    pub(super) next_batch: AtomicPtr<Record>,
}

/// Who woke a task, packed: a task by its id, a thread by its number with the top bit set, 0 for unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waking {
    Unknown,
    Task(u64),
    Thread(ThreadNumber),
}

const THREAD: u64 = 1 << 63;
/// Beside it in `woken_by`: the wake came by the only waker that was out.
const ALONE: u64 = 1 << 62;

/// In `waits_poll`, below the poll's number: how `waits` came to be those of that poll.
const REGISTERED: u32 = 0;
/// One registration, which repeats that of an earlier poll; with a further one it is one more.
const REPEATED: u32 = 1;
const REGISTRATION_BITS: u32 = 2;

/// The part of a poll's number that `waits_poll` has.
fn poll_mark(poll: u64) -> u32 {
    (poll as u32) << REGISTRATION_BITS
}

/// The word of `count` references to a record of this version.
fn counted(version: u32, count: u32) -> u64 {
    u64::from(version) << 32 | u64::from(count)
}

impl Waking {
    pub(crate) fn pack(self) -> u64 {
        match self {
            Waking::Unknown => 0,
            Waking::Task(id) => id & !(THREAD | ALONE),
            Waking::Thread(number) => u64::from(number.0) | THREAD,
        }
    }

    pub(crate) fn unpack(word: u64) -> Self {
        match word & !ALONE {
            0 => Waking::Unknown,
            word if word & THREAD != 0 => Waking::Thread(ThreadNumber(word as u32)),
            id => Waking::Task(id),
        }
    }
}

/// A wait that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedWait {
    /// End of the poll that registered.
    pub(crate) began: Ticks,
    /// The wake.
    pub(crate) ended: Ticks,
    /// It was no wake.
    pub(crate) goes_on: bool,
    pub(crate) waits: Option<&'static WaitSet>,
}

/// A copy of a record, of one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Of the record: another task that has it later has another one.
    pub(crate) version: u32,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) polls: u64,
    pub(crate) polling: bool,
    /// Begin of the current poll, or end of the last one, or the spawn.
    pub(crate) since: Ticks,
    /// The first wake since that poll began, if there was one. Its stamp is 0 if it came during the poll, and the begin
    /// of the waking task's poll if a task did it.
    pub(crate) woken: Option<(Ticks, Waking)>,
    /// The last wake, whenever it was; 0 if it came during a poll.
    pub(crate) wake_at: Ticks,
    /// Polls in which the task woke itself, up to 2^26.
    pub(crate) self_wakes: u64,
    /// The poll that lasts is not in it.
    pub(crate) busy: Ticks,
    /// From the wakes to the polls that followed, for those polls of which [`Record::add_delay`] was told.
    pub(crate) delay: Ticks,
    pub(crate) worker: ThreadNumber,
    pub(crate) waits: Option<&'static WaitSet>,
    /// `waits` is of the last poll, not of one before.
    pub(crate) waits_are_new: bool,
    /// The last poll was due to a wake by the only waker, and did nothing but repeat the registration that this one was of.
    pub(crate) only_repeats: bool,
    /// Wakers of ours that are out: with none, nothing can wake a waiting task.
    pub(crate) wakers: usize,
    pub(crate) frozen: bool,
    pub(crate) name: NameNumber,
    pub(crate) runtime: RuntimeNumber,
    pub(crate) parent: u64,
    pub(crate) location: Option<&'static Location<'static>>,
    pub(crate) pc: usize,
    pub(crate) meta: Option<&'static FutureMeta>,
    pub(crate) spawned: Ticks,
    /// What [`Record::noted`] says.
    pub(crate) noted: u64,
    /// The record itself, as a name.
    pub(crate) address: usize,
    /// The record whose poll a nested one is polled in; 0 for none.
    pub(crate) outer: usize,
    /// The `LocalSet` of a local task; 0 where it is not known.
    pub(crate) local_set: u32,
}

impl Record {
    pub(super) fn free() -> Self {
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
            worker: AtomicU64::new(0),
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
    }

    /// Makes a free record a task's, with one reference.
    pub(super) fn open(
        &self,
        kind: Kind,
        id: u64,
        spawn: Option<Spawn>,
        meta: Option<&'static FutureMeta>,
        now: Ticks,
    ) {
        let set = |word: &AtomicU64, value: u64| word.store(value, Ordering::Relaxed);
        // Readers must see the even version before any field of this owner: another thread may have written it.
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
        self.worker.store(0, Ordering::Relaxed);
        let often = if kind.written() == Written::Often {
            OFTEN
        } else {
            0
        };
        self.flags.store(kind as u64 | often, Ordering::Relaxed);
        set(&self.id, id);
        set(&self.woken_by, 0);
        set(&self.parent, spawn.map_or(0, |spawn| spawn.parent));
        let location = spawn.map_or(std::ptr::null(), |spawn| std::ptr::from_ref(spawn.location));
        self.location.store(location.cast_mut(), Ordering::Relaxed);
        self.pc
            .store(spawn.map_or(0, |spawn| spawn.pc), Ordering::Relaxed);
        self.meta.store(
            meta.map_or(std::ptr::null(), std::ptr::from_ref).cast_mut(),
            Ordering::Relaxed,
        );
        set(&self.spawned, now);
        // Release: a reader that sees the odd version sees the fields above.
        self.version
            .store(version.wrapping_add(1), Ordering::Release);
    }

    /// Ends the task's life in this record. The last reference is gone.
    #[expect(unsafe_code, reason = "empties the waker slot")]
    pub(super) fn shut(&self) {
        // SAFETY: no reference is left, so no waker of ours and no poller.
        unsafe { self.slot.clear() };
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        // Whatever is written for the next owner comes after the even version.
        fence(Ordering::Release);
    }

    /// The task's id; 0 while it is not known.
    #[inline(always)]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Whoever learns the id first sets it; both would set the same.
    #[cfg(any(feature = "rt", probe_loom))]
    #[inline(always)]
    pub(crate) fn set_id(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// The name that the user gave the task. The spawner sets it before tokio has the task.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn set_name(&self, name: NameNumber) {
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags
            .store(flags | u64::from(name.0) << NAME_SHIFT, Ordering::Relaxed);
    }

    /// The runtime that polls the task. Only the polling thread, once, like all that is in `flags`; or the spawner,
    /// before anybody polls.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn set_runtime(&self, runtime: RuntimeNumber) {
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(
            flags | u64::from(runtime.0) << RUNTIME_SHIFT,
            Ordering::Relaxed,
        );
    }

    /// What [`Record::set_name`] was told; none before.
    pub(crate) fn name(&self) -> NameNumber {
        NameNumber((self.flags.load(Ordering::Relaxed) >> NAME_SHIFT) as u32)
    }

    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        let flags = self.flags.load(Ordering::Relaxed);
        Kind::of((flags & KIND) as u8).unwrap_or(Kind::Task)
    }

    /// What decides how the poll that is about to begin goes.
    #[inline(always)]
    pub(crate) fn manner(&self) -> Manner {
        Manner(self.flags.load(Ordering::Relaxed))
    }

    /// The number of the current poll, or of the last one.
    pub(crate) fn poll(&self) -> u64 {
        self.phase.load(Ordering::Relaxed) >> 1
    }

    /// When the task became ready for the poll that is about to begin, at the earliest: it cannot begin before.
    #[inline(always)]
    pub(crate) fn ready_at(&self) -> Ticks {
        let woken = self.wake_at.load(Ordering::Relaxed);
        woken.max(self.since.load(Ordering::Relaxed))
    }

    /// The wait that ended with the wake before the poll that is about to begin; `None` if that wake came while the task
    /// was still polled, or never came.
    ///
    /// A nested future is also polled because the task around it was woken: then its wait goes on after this poll, and the
    /// part so far, up to `now`, has [`EndedWait::goes_on`].
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

    /// How long the task has waited since its last poll, up to the wake, and since when it has been ready for the poll that
    /// is about to begin. `None` for what was not: a task that was woken while it was polled has not waited, and one that
    /// nobody woke (a nested future, polled with the task around it) is not ready.
    pub(crate) fn readiness(&self) -> (Option<Ticks>, Option<Ticks>) {
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

    /// The poll that is about to begin came so long after the task was ready for it. Only its poller.
    pub(crate) fn add_delay(&self, delay: Ticks) {
        let sum = self.delay.load(Ordering::Relaxed) + delay;
        self.delay.store(sum, Ordering::Relaxed);
    }

    /// When the last poll ended, or else the spawn. Only the poller, between two polls.
    pub(crate) fn since(&self) -> Ticks {
        self.since.load(Ordering::Relaxed)
    }

    /// When the task was spawned.
    #[cfg(any(feature = "rt", probe_loom))]
    pub(crate) fn spawned(&self) -> Ticks {
        self.spawned.load(Ordering::Relaxed)
    }

    /// Remembers that for the next begin of a poll. Only the poller, between two polls.
    pub(crate) fn set_noted(&self, noted: u64) {
        // A word in the place of a pointer: nobody follows it while the record is a task's. Where pointers are shorter, it
        // is of no recording.
        let word = std::ptr::without_provenance_mut(noted as usize);
        self.next_batch.store(word, Ordering::Relaxed);
    }

    /// What it remembers, or what was left there.
    pub(crate) fn noted(&self) -> u64 {
        self.next_batch.load(Ordering::Relaxed).addr() as u64
    }

    /// Where the task was spawned.
    #[expect(unsafe_code, reason = "reads a pointer to a location")]
    pub(crate) fn location(&self) -> Option<&'static Location<'static>> {
        // SAFETY: null or a 'static location.
        unsafe { self.location.load(Ordering::Relaxed).as_ref() }
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

    /// Takes another reference.
    #[inline(always)]
    pub(crate) fn retain(&self) {
        if self.refs.fetch_add(1, Ordering::Relaxed) as u32 > MOST_REFS {
            // As in `Arc` and in tokio: with two thousand million forgotten wakers there is no way on.
            std::process::abort();
        }
    }

    /// The same while no other thread knows the record.
    #[cfg(any(feature = "rt", probe_loom))]
    #[inline(always)]
    pub(crate) fn retain_unshared(&self) {
        let refs = self.refs.load(Ordering::Relaxed);
        self.refs.store(refs + 1, Ordering::Relaxed);
    }

    /// Takes another reference for a reader, of the task that `view` is of; `false` if that has given the record back, and
    /// if the view is not of a time after a poll. Touches no other task's count.
    #[must_use]
    pub(super) fn retain_for(&self, view: &View) -> bool {
        if view.polling || view.polls == 0 {
            return false;
        }
        let mut refs = self.refs.load(Ordering::Relaxed);
        while (1..MOST_REFS).contains(&(refs as u32)) && refs == counted(view.version, refs as u32)
        {
            match self.refs.compare_exchange_weak(
                refs,
                refs + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => refs = now,
            }
        }
        false
    }

    /// Gives a reference back; `true` if it was the last, and then the record has to go back to the slab.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        if self.refs.fetch_sub(1, Ordering::Release) as u32 != 1 {
            return false;
        }
        // Pairs with the Release of the others' decrements: all they did is visible now.
        fence(Ordering::Acquire);
        true
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

    #[inline(always)]
    fn written(&self) -> Written {
        if self.flags.load(Ordering::Relaxed) & OFTEN == 0 {
            Written::Once
        } else {
            Written::Often
        }
    }

    /// A poll begins on `thread`.
    #[inline(always)]
    pub(crate) fn begin_poll(&self, thread: ThreadNumber, now: Ticks) -> PollNumber {
        let phase = (self.phase.load(Ordering::Relaxed) | 1) + 2;
        self.phase.store(phase, Ordering::Relaxed);
        // Readers must see the odd phase before any field of this poll.
        fence(Ordering::Release);
        self.since.store(now, Ordering::Relaxed);
        // Release: a reader that sees this poll's number here sees its stamp.
        self.worker
            .store(worker_word(thread, phase >> 1), Ordering::Release);
        PollNumber(phase)
    }

    /// The generation of a poll's waker: the poll's number, unless the record is frozen.
    #[inline(always)]
    pub(crate) fn generation(&self, poll: PollNumber, manner: Manner) -> usize {
        let generation = if manner.0 & FROZEN == 0 {
            (poll.0 >> 1) as usize
        } else {
            self.self_wakes.load(Ordering::Relaxed) as usize
        };
        generation & (GENERATIONS - 1)
    }

    /// The `LocalSet` of a local task. The spawner, before tokio has the task.
    pub(crate) fn set_local_set(&self, number: u32) {
        let word = std::ptr::without_provenance_mut(number as usize);
        self.next.store(word, Ordering::Relaxed);
    }

    /// The record in whose poll this one, a nested future's, is being polled.
    #[inline(always)]
    pub(crate) fn set_outer(&self, outer: *const Record) {
        self.next.store(outer.cast_mut(), Ordering::Relaxed);
    }

    /// The poll ended.
    #[inline(always)]
    pub(crate) fn end_poll(&self, poll: PollNumber, began: Ticks, now: Ticks) {
        // First: a reader between the two misses the poll, rather than counting it twice.
        self.since.store(now, Ordering::Relaxed);
        let busy = self.busy.load(Ordering::Relaxed) + now.saturating_sub(began);
        self.busy.store(busy, Ordering::Relaxed);
        // Release: a reader that sees the even phase sees this poll's fields.
        self.phase.store(poll.0 & !1, Ordering::Release);
    }

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

    /// Somebody wakes the task. Only the first wake since the poll began counts.
    #[inline(always)]
    ///
    /// `consumed`: by a waker that is gone with it.
    pub(crate) fn note_wake(
        &self,
        consumed: bool,
        now: impl FnOnce() -> Ticks,
        by: impl FnOnce() -> Waking,
    ) {
        let phase = self.phase.load(Ordering::Relaxed);
        let polls = phase >> 1;
        if self.woken.load(Ordering::Relaxed) == polls {
            return;
        }
        // A task that is woken while it is polled becomes runnable at the end of that poll, whose stamp is taken anyway.
        let at = if phase & 1 == 1 { 0 } else { now() };
        self.wake_at.store(at, Ordering::Relaxed);
        let by = by();
        if phase & 1 == 1 && by == Waking::Task(self.id()) {
            self.count_self_wake();
        }
        // The wrapper has the other reference.
        let alone = consumed && self.refs.load(Ordering::Relaxed) as u32 == 2;
        let alone = if alone { ALONE } else { 0 };
        self.woken_by.store(by.pack() | alone, Ordering::Relaxed);
        // Release: a reader that sees this poll's number sees its stamp.
        self.woken.store(polls, Ordering::Release);
    }

    /// The polling thread woke the task, during its poll: nobody else writes this word.
    #[inline]
    fn count_self_wake(&self) {
        let word = self.self_wakes.load(Ordering::Relaxed);
        let counted = word.checked_add(GENERATION + 1).unwrap_or(word);
        self.self_wakes.store(counted, Ordering::Relaxed);
    }

    /// A wake came through a waker of an older generation, from the polling thread, during the poll.
    #[cold]
    pub(crate) fn note_stale_self_wake(&self) {
        // The poll number in the upper bits, the length of the run in the lower.
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

    /// Hands a wake on to the task's own waker.
    ///
    /// # Safety
    /// The caller holds a reference that came from a poll of this record, or that [`Record::retain_for`] gave for a view
    /// of a finished poll.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads the waker slot")]
    pub(crate) unsafe fn wake(&self) {
        // SAFETY: the reference came from a poll, which wrote the slot before.
        unsafe { self.slot.wake(self.written()) }
    }

    /// The task is over, though wakers may still be out: readers leave it out from now on.
    pub(crate) fn close(&self) {
        // Only the poller writes flags, and whoever drops the task is the only one who could poll it.
        let flags = self.flags.load(Ordering::Relaxed);
        self.flags.store(flags | CLOSED, Ordering::Relaxed);
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

    /// The type of the future, where it is known.
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    pub(crate) fn meta(&self) -> Option<&'static FutureMeta> {
        // SAFETY: null or a 'static description.
        unsafe { self.meta.load(Ordering::Relaxed).as_ref() }
    }

    /// The kind of the task and the runtime that polls it, also of one whose future has returned; `None` for a free record.
    #[cfg(feature = "rt")]
    pub(crate) fn owner(&self) -> Option<(Kind, RuntimeNumber)> {
        let version = self.version.load(Ordering::Acquire);
        let flags = self.flags.load(Ordering::Relaxed);
        let kind = Kind::of((flags & KIND) as u8)?;
        let runtime = RuntimeNumber((flags >> RUNTIME_SHIFT) as u16);
        (!version.is_multiple_of(2)).then_some((kind, runtime))
    }

    /// A copy of one piece; `None` for a free record, and for one that changed owner meanwhile.
    #[expect(unsafe_code, reason = "reads pointers to things that live for ever")]
    pub(crate) fn view(&self) -> Option<View> {
        const TRIES: usize = 8;
        for attempt in 0..TRIES {
            let version = self.version.load(Ordering::Acquire);
            if version.is_multiple_of(2) {
                return None;
            }
            let phase = self.phase.load(Ordering::Acquire);
            let flags = self.flags.load(Ordering::Relaxed);
            // Before `woken`; pairs with the Release in `release`: whoever consumes a waker has stamped before.
            let wakers = (self.refs.load(Ordering::Acquire) as u32).saturating_sub(1) as usize;
            let woken = self.woken.load(Ordering::Acquire);
            let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
            // Before `since`; pairs with the Release in `begin_poll`.
            let worker = self.worker.load(Ordering::Acquire);
            let (wake_at, woken_by) = (load(&self.wake_at), load(&self.woken_by));
            let polls = phase >> 1;
            let kind = Kind::of((flags & KIND) as u8).unwrap_or(Kind::Task);
            let next = self.next.load(Ordering::Relaxed).addr();
            let (waits_poll, mark) = (self.waits_poll.load(Ordering::Relaxed), poll_mark(polls));
            let view = View {
                version,
                id: load(&self.id),
                kind,
                polls,
                polling: phase & 1 == 1,
                // A poll that has not got round to its stamp has just begun.
                since: if phase & 1 == 1 && worker as u32 != polls as u32 {
                    Ticks::MAX
                } else {
                    load(&self.since)
                },
                woken: (woken == polls).then(|| (wake_at, Waking::unpack(woken_by))),
                wake_at,
                self_wakes: u64::from(self.self_wakes.load(Ordering::Relaxed) / (GENERATION + 1)),
                busy: load(&self.busy),
                delay: load(&self.delay),
                worker: ThreadNumber((worker >> 32) as u32),
                // SAFETY: null or an interned set; those live for ever.
                waits: unsafe { self.waits.load(Ordering::Relaxed).as_ref() },
                waits_are_new: waits_poll >> REGISTRATION_BITS == mark >> REGISTRATION_BITS,
                only_repeats: waits_poll == mark | REPEATED
                    && woken == polls.wrapping_sub(1)
                    && woken_by & ALONE != 0,
                wakers,
                frozen: flags & FROZEN != 0,
                name: NameNumber((flags >> NAME_SHIFT) as u32),
                runtime: RuntimeNumber((flags >> RUNTIME_SHIFT) as u16),
                parent: load(&self.parent),
                location: self.location(),
                pc: self.pc.load(Ordering::Relaxed),
                meta: self.meta(),
                spawned: load(&self.spawned),
                noted: self.noted(),
                address: std::ptr::from_ref(self) as usize,
                outer: if kind == Kind::Nested { next } else { 0 },
                local_set: if kind == Kind::Local { next as u32 } else { 0 },
            };
            // Everything above is read before the two checks.
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) != version || flags & CLOSED != 0 {
                return None;
            }
            // A task that is polled all the time changes under the reader: the last attempt takes it as running.
            if self.phase.load(Ordering::Relaxed) == phase || attempt == TRIES - 1 {
                let steady = self.phase.load(Ordering::Relaxed) == phase;
                return Some(View {
                    polling: view.polling || !steady,
                    ..view
                });
            }
        }
        None
    }
}
