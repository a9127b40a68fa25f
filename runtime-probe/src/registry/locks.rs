//! Instrumented locks that have or had waiters: the holder of each, and its waiters.
//!
//! A lock has an entry from its first waiter until it is dropped, and each waiter has one for as long as it waits
//! ([`mod@waiters`]). Entries are slots of a [`Shelf`], so a reader needs no lock and keeps neither lock nor task
//! alive. A reader never reads a lock itself: a forgotten future (`mem::forget`) keeps its entry though its lock may be gone.
//!
//! A waiter names its lock by number and version, so it is no waiter of a later lock with that number.

use super::shelf::{Shelf, Slot};
use super::versions::{open, read, shut};
use super::waiters::{self, CAME_TO_FREE, Copied, LockKey};
use crate::clock::Ticks;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::stack::wait_set::WaitSet;
use std::num::NonZeroU32;
use std::panic::Location;
use std::ptr::{from_ref, null, null_mut};

static LOCKS: Shelf<LockSlot> = Shelf::new();

/// The properties of a type of locks.
#[derive(Debug)]
pub(crate) struct LockType {
    /// `"Mutex"`; empty if `value` names the whole type.
    pub(crate) kind: &'static str,
    /// The type of the value.
    pub(crate) value: fn() -> &'static str,
    /// Whether several readers may hold the lock at once.
    pub(crate) has_readers: bool,
    /// Whether the lock is a semaphore. The holders of permits are in [`permits`](super::permits).
    pub(crate) has_permits: bool,
    /// Whether a guard can be moved to another thread.
    pub(crate) has_movable_guards: bool,
    /// Whether it is a `OnceCell`: the holder initializes the value, and all waiters get it.
    pub(crate) is_once: bool,
    pub(crate) passing: Passing,
}

/// How a lock passes from holder to holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// There is one holder at a time, and a release makes the first waiter the next holder. So each holder between two
    /// waiters has waited itself, and a release needs no count of the others.
    ToOne,
    /// There may be several holders, or one that comes before the waiters. So waiters are counted.
    Unknown,
}

/// A holder or waiter. Packed to one word: a task is its id, a thread is its kernel id with the top bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// None, or not known.
    Unknown,
    Task(u64),
    Thread(u32),
}

const THREAD: u64 = 1 << 63;

impl Who {
    pub(crate) fn pack(self) -> u64 {
        match self {
            Who::Unknown => 0,
            Who::Task(id) => id & !(THREAD | SHARED | MOVABLE),
            Who::Thread(tid) => u64::from(tid) | THREAD,
        }
    }

    pub(crate) fn unpack(word: u64) -> Self {
        match word {
            0 => Who::Unknown,
            word if word & THREAD != 0 => Who::Thread(word as u32),
            id => Who::Task(id),
        }
    }
}

/// An entry. Aligned, so that the threads that wait for two locks do not write to one cache line.
#[repr(align(64))]
pub(crate) struct LockSlot {
    version: AtomicU32,
    next: AtomicU32,
    /// Its [`LockKey`].
    key: AtomicU64,
    what: AtomicPtr<LockType>,
    created: AtomicPtr<Location<'static>>,
    /// The address of a part of the lock.
    address: AtomicUsize,
    /// The holder, packed; 0 if the lock is free, is being passed to the next waiter, or is held by readers.
    holder: AtomicU64,
    /// When the holder changed; 0 if not known.
    since: AtomicU64,
    /// Where the holder took the lock; null if not known.
    taken_at: AtomicPtr<WaitSet>,
    /// The number of waits that have ended, apart from `passed`.
    waits: AtomicU64,
    /// The sum of their times.
    waited: AtomicU64,
    /// The number of waits that have ended with the lock. Of locks that are passed on: only their holder writes these two, so
    /// it needs no locked instruction.
    passed: AtomicU64,
    /// The sum of their times.
    passed_after: AtomicU64,
    /// The begin of the last wait.
    last_since: AtomicU64,
    /// Of a semaphore: the number of all its permits, taken or not.
    permits: AtomicU64,
    /// Of a semaphore: the number of forgotten permits. If there are any, `holder` is the last that forgot some.
    forgotten: AtomicU64,
}

/// The holder of a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// Packed; 0 if the lock is free.
    pub(crate) holder: u64,
    /// 0 if not known.
    pub(crate) since: Ticks,
    pub(crate) taken_at: Option<&'static WaitSet>,
}

impl Slot for LockSlot {
    fn new() -> Self {
        LockSlot {
            version: AtomicU32::new(0),
            next: AtomicU32::new(0),
            key: AtomicU64::new(0),
            what: AtomicPtr::new(null_mut()),
            created: AtomicPtr::new(null_mut()),
            address: AtomicUsize::new(0),
            holder: AtomicU64::new(0),
            since: AtomicU64::new(0),
            taken_at: AtomicPtr::new(null_mut()),
            waits: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            passed_after: AtomicU64::new(0),
            last_since: AtomicU64::new(0),
            permits: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

/// A lock's entry.
#[derive(Clone, Copy)]
pub(crate) struct LockEntry(&'static LockSlot);

/// Takes an entry for a lock, at its first waiter. `None` if all entries are in use.
pub(crate) fn enlist(
    what: &'static LockType,
    created: Option<&'static Location<'static>>,
    address: usize,
) -> Option<LockEntry> {
    let (number, slot) = LOCKS.take()?;
    open(&slot.version, || {
        let version = slot.version.load(Ordering::Relaxed).wrapping_add(1);
        let key = LockKey::new(number.get(), version);
        slot.key.store(key.0, Ordering::Relaxed);
        slot.what
            .store(from_ref(what).cast_mut(), Ordering::Relaxed);
        let created = created.map_or(null_mut(), |created| from_ref(created).cast_mut());
        slot.created.store(created, Ordering::Relaxed);
        slot.address.store(address, Ordering::Relaxed);
        slot.holder.store(0, Ordering::Relaxed);
        slot.since.store(0, Ordering::Relaxed);
        slot.taken_at.store(null_mut(), Ordering::Relaxed);
        slot.waits.store(0, Ordering::Relaxed);
        slot.waited.store(0, Ordering::Relaxed);
        slot.passed.store(0, Ordering::Relaxed);
        slot.passed_after.store(0, Ordering::Relaxed);
        slot.last_since.store(0, Ordering::Relaxed);
        slot.permits.store(0, Ordering::Relaxed);
        slot.forgotten.store(0, Ordering::Relaxed);
    });
    Some(LockEntry(slot))
}

impl LockEntry {
    /// The entry of an address that [`LockEntry::address`] made; `None` for null.
    ///
    /// # Safety
    /// It is null or such an address.
    #[inline(always)]
    #[expect(unsafe_code, reason = "slots live for ever")]
    pub(crate) unsafe fn of_address(address: *const LockSlot) -> Option<LockEntry> {
        // SAFETY: by contract. Slots live for ever.
        unsafe { address.as_ref() }.map(LockEntry)
    }

    pub(crate) fn address(self) -> *const LockSlot {
        self.0
    }

    /// Frees the entry: the lock is dropped.
    pub(crate) fn delist(self) {
        shut(&self.0.version);
        if let Some(number) = NonZeroU32::new(self.key().number()) {
            LOCKS.give(number);
        }
    }

    /// The number and the version, which distinguishes the locks that had this number.
    #[inline(always)]
    pub(crate) fn key(self) -> LockKey {
        LockKey(self.0.key.load(Ordering::Relaxed))
    }

    /// The begin of a wait that begins now: later than that of any other that is seen here.
    #[inline(always)]
    pub(crate) fn begin_of_wait(self, now: Ticks) -> Ticks {
        let since = now.max(self.0.last_since.load(Ordering::Relaxed) + 1);
        self.0.last_since.store(since, Ordering::Relaxed);
        since
    }

    /// The holder, packed.
    #[inline(always)]
    pub(crate) fn holder(self) -> u64 {
        self.0.holder.load(Ordering::Relaxed)
    }

    /// When the holder changed; 0 if not known.
    pub(crate) fn since(self) -> Ticks {
        self.0.since.load(Ordering::Relaxed)
    }

    /// Sets the number of all permits of a semaphore, as of `now`.
    #[cfg(feature = "semaphore")]
    pub(crate) fn has_permits(self, permits: u64, now: Ticks) {
        self.0.since.store(now, Ordering::Relaxed);
        self.0.permits.store(permits, Ordering::Relaxed);
    }

    /// Adds permits of a semaphore that `who` (packed) has forgotten.
    #[cfg(feature = "semaphore")]
    pub(crate) fn forgot(self, permits: u32, who: u64) {
        self.0
            .forgotten
            .fetch_add(u64::from(permits), Ordering::Relaxed);
        self.0.holder.store(who, Ordering::Relaxed);
    }

    /// Sets the holder.
    #[inline(always)]
    pub(crate) fn changes_hands(self, holding: Holding) {
        let slot = self.0;
        let taken_at = holding.taken_at.map_or(null(), from_ref).cast_mut();
        // Null between two holders, so that no reader combines two of them.
        slot.taken_at.store(null_mut(), Ordering::Relaxed);
        slot.since.store(holding.since, Ordering::Relaxed);
        slot.holder.store(holding.holder, Ordering::Release);
        slot.taken_at.store(taken_at, Ordering::Release);
    }

    /// The lock was released.
    #[inline(always)]
    pub(crate) fn is_free(self, now: Ticks) {
        self.0.taken_at.store(null_mut(), Ordering::Relaxed);
        self.0.since.store(now, Ordering::Relaxed);
        self.0.holder.store(0, Ordering::Release);
    }

    /// A wait has ended with a lock that is passed on. Only its holder.
    #[inline(always)]
    pub(crate) fn count_passed(self, waited: Ticks) {
        let add = |sum: &AtomicU64, more: u64| {
            sum.store(
                sum.load(Ordering::Relaxed).wrapping_add(more),
                Ordering::Relaxed,
            );
        };
        add(&self.0.passed, 1);
        add(&self.0.passed_after, waited);
    }

    /// Another wait has ended.
    pub(crate) fn count(self, waited: Ticks) {
        self.0.waits.fetch_add(1, Ordering::Relaxed);
        self.0.waited.fetch_add(waited, Ordering::Relaxed);
    }
}

/// A copy of a lock's entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockView {
    pub(crate) number: NonZeroU32,
    pub(crate) version: u32,
    pub(crate) what: &'static LockType,
    pub(crate) created: Option<&'static Location<'static>>,
    /// The holder.
    pub(crate) holder: Who,
    /// Whether the holder reads, beside others.
    pub(crate) is_shared: bool,
    /// Whether the holder's guard owns the lock.
    pub(crate) is_movable: bool,
    /// The address of a part of the lock.
    pub(crate) address: usize,
    /// 0 if not known.
    pub(crate) since: Ticks,
    pub(crate) taken_at: Option<&'static WaitSet>,
    /// The number of waits that have ended.
    pub(crate) waits: u64,
    /// The sum of their times.
    pub(crate) waited: Ticks,
    /// Of a semaphore: the number of all its permits.
    pub(crate) permits: u64,
    /// Of a semaphore: the number of forgotten permits.
    pub(crate) forgotten: u64,
}

/// A copy of a waiter's entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaiterView {
    pub(crate) lock: u32,
    pub(crate) lock_version: u32,
    pub(crate) who: Who,
    /// Whether it waits to read.
    pub(crate) is_shared: bool,
    /// Of two waiters of a lock, the later one has a later begin, or the same if two threads began at one tick.
    pub(crate) since: Ticks,
    pub(crate) wanted: u32,
    pub(crate) poll: u64,
    pub(crate) waits: Option<&'static WaitSet>,
}

/// A bit of a packed holder or waiter: it holds the lock for reading, or waits for that.
pub(crate) const SHARED: u64 = 1 << 62;

/// A bit of a packed holder: its guard owns the lock, so another task or thread may have the guard by now.
pub(crate) const MOVABLE: u64 = 1 << 60;

/// All locks that have or had waiters.
pub(crate) fn locks() -> Vec<LockView> {
    let slots = LOCKS.slots();
    slots
        .filter_map(|(number, slot)| {
            read(&slot.version, |version| lock_view(number, slot, version))
        })
        .flatten()
        .collect()
}

#[expect(unsafe_code, reason = "reads pointers to what lives for ever")]
fn lock_view(number: NonZeroU32, slot: &LockSlot, version: u32) -> Option<LockView> {
    let holder = slot.holder.load(Ordering::Acquire);
    // SAFETY: null, or 'static.
    let (what, created, taken_at) = unsafe {
        (
            slot.what.load(Ordering::Relaxed).as_ref()?,
            slot.created.load(Ordering::Relaxed).as_ref(),
            slot.taken_at.load(Ordering::Acquire).as_ref(),
        )
    };
    let is_same = slot.holder.load(Ordering::Relaxed) == holder;
    let sum = |a: &AtomicU64, b: &AtomicU64| {
        let of_both = a.load(Ordering::Relaxed);
        of_both.wrapping_add(b.load(Ordering::Relaxed))
    };
    Some(LockView {
        number,
        version,
        what,
        created,
        holder: Who::unpack(holder & !(SHARED | MOVABLE)),
        is_shared: holder & SHARED != 0,
        is_movable: holder & MOVABLE != 0,
        address: slot.address.load(Ordering::Relaxed),
        since: slot.since.load(Ordering::Relaxed),
        taken_at: taken_at.filter(|_| is_same),
        waits: sum(&slot.waits, &slot.passed),
        waited: sum(&slot.waited, &slot.passed_after),
        permits: slot.permits.load(Ordering::Relaxed),
        forgotten: slot.forgotten.load(Ordering::Relaxed),
    })
}

/// All waiters, in the order of their arrival.
pub(crate) fn waiters() -> Vec<WaiterView> {
    let mut waiters: Vec<WaiterView> = waiters::all().map(waiter_view).collect();
    waiters.sort_by_key(|waiter| waiter.since);
    waiters
}

fn waiter_view(copied: Copied) -> WaiterView {
    WaiterView {
        lock: copied.lock.number(),
        lock_version: copied.lock.version(),
        who: Who::unpack(copied.who & !(SHARED | CAME_TO_FREE)),
        is_shared: copied.who & SHARED != 0,
        since: copied.since,
        wanted: copied.wanted,
        poll: copied.poll,
        waits: copied.waits,
    }
}

/// The number of waiters that had no entry.
pub(crate) fn missed() -> u64 {
    waiters::missed()
}
