//! Instrumented locks that have or had waiters: the holder of each, and its waiters.
//!
//! A lock has an entry from its first waiter until it is dropped, and each waiter has one for as long as it waits.
//! Entries are slots of a [`Shelf`], so a reader needs no lock and keeps neither lock nor task alive. A reader never
//! reads a lock itself: a forgotten future (`mem::forget`) keeps its entry though its lock may be gone.
//!
//! Invariants:
//! 1. `version` is odd while an entry is in use. MUST change before any other field is written for the next owner, and last when
//!    it ends; otherwise a reader mixes two owners.
//! 2. A waiter names its lock by number and version, so it is no waiter of a later lock with that number.

use super::shelf::{Shelf, Slot};
use crate::clock::Ticks;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use crate::stack::wait_set::WaitSet;
use std::num::NonZeroU32;
use std::panic::Location;
use std::ptr::{from_ref, null_mut};

static LOCKS: Shelf<LockSlot> = Shelf::new();
static WAITERS: Shelf<WaiterSlot> = Shelf::new();
/// Numbers waiters in the order of their arrival.
static ARRIVALS: AtomicU64 = AtomicU64::new(1);
/// The number of waiters without an entry: all entries were in use.
static MISSED: AtomicU64 = AtomicU64::new(0);

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

struct LockSlot {
    version: AtomicU32,
    next: AtomicU32,
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
    /// The number of waits that have ended.
    waits: AtomicU64,
    /// The sum of their times.
    waited: AtomicU64,
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

struct WaiterSlot {
    version: AtomicU32,
    next: AtomicU32,
    lock: AtomicU32,
    lock_version: AtomicU32,
    arrival: AtomicU64,
    /// The waiter, packed, with [`SHARED`] if it waits to read.
    who: AtomicU64,
    since: AtomicU64,
    /// Of a semaphore: the number of permits that it waits for.
    wanted: AtomicU32,
    /// The poll of its task in which the future was polled last; 0 for a thread.
    poll: AtomicU64,
    /// The registrations of that poll up to this one.
    waits: AtomicPtr<WaitSet>,
}

impl Slot for LockSlot {
    fn new() -> Self {
        LockSlot {
            version: AtomicU32::new(0),
            next: AtomicU32::new(0),
            what: AtomicPtr::new(null_mut()),
            created: AtomicPtr::new(null_mut()),
            address: AtomicUsize::new(0),
            holder: AtomicU64::new(0),
            since: AtomicU64::new(0),
            taken_at: AtomicPtr::new(null_mut()),
            waits: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            permits: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

impl Slot for WaiterSlot {
    fn new() -> Self {
        WaiterSlot {
            version: AtomicU32::new(0),
            next: AtomicU32::new(0),
            lock: AtomicU32::new(0),
            lock_version: AtomicU32::new(0),
            arrival: AtomicU64::new(0),
            who: AtomicU64::new(0),
            since: AtomicU64::new(0),
            wanted: AtomicU32::new(0),
            poll: AtomicU64::new(0),
            waits: AtomicPtr::new(null_mut()),
        }
    }

    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

/// Begins an entry: writes the fields and makes the version odd.
pub(super) fn open(version: &AtomicU32, write: impl FnOnce()) {
    // Readers must see the even version before any field of this owner.
    fence(Ordering::Release);
    write();
    let free = version.load(Ordering::Relaxed);
    version.store(free.wrapping_add(1), Ordering::Release);
}

/// Ends an entry: makes the version even.
pub(super) fn shut(version: &AtomicU32) {
    let used = version.load(Ordering::Relaxed);
    version.store(used.wrapping_add(1), Ordering::Relaxed);
    // The next owner's writes come after the even version.
    fence(Ordering::Release);
}

/// Reads an entry. `None` if it was not in use, or changed its owner meanwhile.
pub(super) fn read<R>(version: &AtomicU32, read: impl FnOnce(u32) -> R) -> Option<R> {
    let before = version.load(Ordering::Acquire);
    if before.is_multiple_of(2) {
        return None;
    }
    let found = read(before);
    fence(Ordering::Acquire);
    (version.load(Ordering::Relaxed) == before).then_some(found)
}

/// The number of a lock's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockNumber(pub(crate) NonZeroU32);

/// Takes an entry for a lock, at its first waiter. `None` if all entries are in use.
pub(crate) fn enlist(
    what: &'static LockType,
    created: Option<&'static Location<'static>>,
    address: usize,
) -> Option<LockNumber> {
    let (number, slot) = LOCKS.take()?;
    open(&slot.version, || {
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
        slot.permits.store(0, Ordering::Relaxed);
        slot.forgotten.store(0, Ordering::Relaxed);
    });
    Some(LockNumber(number))
}

impl LockNumber {
    /// Frees the entry: the lock is dropped.
    pub(crate) fn delist(self) {
        if let Some(slot) = LOCKS.slot(self.0) {
            shut(&slot.version);
            LOCKS.give(self.0);
        }
    }

    /// Sets the holder, as seen by a waiter. If the holder has set itself, more is known, and nothing changes.
    pub(crate) fn is_held_by(self, holding: Holding) {
        if LOCKS
            .slot(self.0)
            .is_some_and(|slot| slot.holder.load(Ordering::Relaxed) != holding.holder)
        {
            self.changes_hands(holding);
        }
    }

    /// Sets the number of all permits of a semaphore, as of `now`.
    #[cfg(feature = "semaphore")]
    pub(crate) fn has_permits(self, permits: u64, now: Ticks) {
        if let Some(slot) = LOCKS.slot(self.0) {
            slot.since.store(now, Ordering::Relaxed);
            slot.permits.store(permits, Ordering::Relaxed);
        }
    }

    /// Adds permits of a semaphore that `who` (packed) has forgotten.
    #[cfg(feature = "semaphore")]
    pub(crate) fn forgot(self, permits: u32, who: u64) {
        if let Some(slot) = LOCKS.slot(self.0) {
            slot.forgotten
                .fetch_add(u64::from(permits), Ordering::Relaxed);
            slot.holder.store(who, Ordering::Relaxed);
        }
    }

    /// The version, which distinguishes the locks that had this number.
    #[cfg(feature = "semaphore")]
    pub(super) fn version(self) -> u32 {
        let slot = LOCKS.slot(self.0);
        slot.map_or(0, |slot| slot.version.load(Ordering::Relaxed))
    }

    /// Sets the holder.
    pub(crate) fn changes_hands(self, holding: Holding) {
        if let Some(slot) = LOCKS.slot(self.0) {
            let taken_at = holding
                .taken_at
                .map_or(null_mut(), |waits| from_ref(waits).cast_mut());
            // Null between two holders, so that no reader combines two of them.
            slot.taken_at.store(null_mut(), Ordering::Relaxed);
            slot.since.store(holding.since, Ordering::Relaxed);
            slot.holder.store(holding.holder, Ordering::Release);
            slot.taken_at.store(taken_at, Ordering::Release);
        }
    }
}

/// A waiter's entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter(NonZeroU32);

impl Waiter {
    /// Makes an entry for `who` (packed, perhaps with [`SHARED`]). If all entries are in use, the result is `None`, and
    /// the waiter is counted as missed.
    pub(crate) fn new(lock: LockNumber, who: u64, wanted: u32, since: Ticks) -> Option<Waiter> {
        let version = LOCKS.slot(lock.0)?.version.load(Ordering::Relaxed);
        let Some((number, slot)) = WAITERS.take() else {
            MISSED.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        open(&slot.version, || {
            let arrival = ARRIVALS.fetch_add(1, Ordering::Relaxed);
            slot.lock.store(lock.0.get(), Ordering::Relaxed);
            slot.lock_version.store(version, Ordering::Relaxed);
            slot.arrival.store(arrival, Ordering::Relaxed);
            slot.who.store(who, Ordering::Relaxed);
            slot.since.store(since, Ordering::Relaxed);
            slot.wanted.store(wanted, Ordering::Relaxed);
            slot.poll.store(0, Ordering::Relaxed);
            slot.waits.store(null_mut(), Ordering::Relaxed);
        });
        Some(Waiter(number))
    }

    /// The future was polled by `who` (packed, perhaps with [`SHARED`]), in this poll of that task, and still waits.
    pub(crate) fn polled(&self, who: u64, poll: u64, waits: Option<&'static WaitSet>) {
        if let Some(slot) = WAITERS.slot(self.0) {
            let waits = waits.map_or(null_mut(), |waits| from_ref(waits).cast_mut());
            slot.who.store(who, Ordering::Relaxed);
            slot.waits.store(waits, Ordering::Relaxed);
            slot.poll.store(poll, Ordering::Release);
        }
    }

    /// The registrations of the last poll of its future.
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    pub(crate) fn waits(&self) -> Option<&'static WaitSet> {
        let slot = WAITERS.slot(self.0)?;
        // SAFETY: null, or an interned set, which lives for ever.
        unsafe { slot.waits.load(Ordering::Relaxed).as_ref() }
    }

    /// Ends the wait. `is_wait` tells whether it counts as a wait of its lock.
    pub(crate) fn leave(self, is_wait: bool, now: Ticks) {
        let Some(slot) = WAITERS.slot(self.0) else {
            return;
        };
        // The lock is alive while a waiter leaves it.
        let lock = NonZeroU32::new(slot.lock.load(Ordering::Relaxed));
        if is_wait && let Some(lock) = lock.and_then(|lock| LOCKS.slot(lock)) {
            let waited = now.saturating_sub(slot.since.load(Ordering::Relaxed));
            lock.waits.fetch_add(1, Ordering::Relaxed);
            lock.waited.fetch_add(waited, Ordering::Relaxed);
        }
        shut(&slot.version);
        WAITERS.give(self.0);
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
    pub(crate) arrival: u64,
    pub(crate) who: Who,
    /// Whether it waits to read.
    pub(crate) is_shared: bool,
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
        waits: slot.waits.load(Ordering::Relaxed),
        waited: slot.waited.load(Ordering::Relaxed),
        permits: slot.permits.load(Ordering::Relaxed),
        forgotten: slot.forgotten.load(Ordering::Relaxed),
    })
}

/// All waiters, in the order of their arrival.
pub(crate) fn waiters() -> Vec<WaiterView> {
    let slots = WAITERS.slots();
    let mut waiters: Vec<WaiterView> = slots
        .filter_map(|(_, slot)| read(&slot.version, |_| waiter_view(slot)))
        .collect();
    waiters.sort_unstable_by_key(|waiter| waiter.arrival);
    waiters
}

#[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
fn waiter_view(slot: &WaiterSlot) -> WaiterView {
    let who = slot.who.load(Ordering::Relaxed);
    WaiterView {
        lock: slot.lock.load(Ordering::Relaxed),
        lock_version: slot.lock_version.load(Ordering::Relaxed),
        arrival: slot.arrival.load(Ordering::Relaxed),
        who: Who::unpack(who & !SHARED),
        is_shared: who & SHARED != 0,
        since: slot.since.load(Ordering::Relaxed),
        wanted: slot.wanted.load(Ordering::Relaxed),
        poll: slot.poll.load(Ordering::Acquire),
        // SAFETY: null, or an interned set, which lives for ever.
        waits: unsafe { slot.waits.load(Ordering::Relaxed).as_ref() },
    }
}

/// The number of waiters that had no entry.
pub(crate) fn missed() -> u64 {
    MISSED.load(Ordering::Relaxed)
}
