//! The holders of a semaphore's permits: an entry for each `SemaphorePermit`, with its number of permits.
//!
//! The invariants are those of [`locks`](super::locks): a version that is odd while an entry is in use, and a semaphore that is
//! named by number and version.

#[cfg(feature = "semaphore")]
use super::locks::LockEntry;
use super::locks::{MOVABLE, Who};
use super::shelf::{Shelf, Slot};
#[cfg(feature = "semaphore")]
use super::versions::open;
use super::versions::{read, shut};
use crate::clock::Ticks;
use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use std::num::NonZeroU32;

static HOLDERS: Shelf<HolderSlot> = Shelf::new();

struct HolderSlot {
    version: AtomicU32,
    next: AtomicU32,
    lock: AtomicU32,
    lock_version: AtomicU32,
    count: AtomicU32,
    who: AtomicU64,
    since: AtomicU64,
}

impl Slot for HolderSlot {
    fn new() -> Self {
        HolderSlot {
            version: AtomicU32::new(0),
            next: AtomicU32::new(0),
            lock: AtomicU32::new(0),
            lock_version: AtomicU32::new(0),
            count: AtomicU32::new(0),
            who: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }

    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

/// The entry of held permits.
#[derive(Debug)]
pub(crate) struct Holder(NonZeroU32);

impl Holder {
    /// Makes an entry: `who` (packed, perhaps with [`MOVABLE`]) holds `count` permits of that semaphore. `None` if all entries
    /// are in use.
    #[cfg(feature = "semaphore")]
    pub(crate) fn new(lock: LockEntry, who: u64, count: u32, since: Ticks) -> Option<Holder> {
        let (number, slot) = HOLDERS.take()?;
        open(&slot.version, || {
            slot.lock.store(lock.key().number(), Ordering::Relaxed);
            slot.lock_version
                .store(lock.key().version(), Ordering::Relaxed);
            slot.count.store(count, Ordering::Relaxed);
            slot.who.store(who, Ordering::Relaxed);
            slot.since.store(since, Ordering::Relaxed);
        });
        Some(Holder(number))
    }

    /// Changes the number of permits.
    #[cfg(feature = "semaphore")]
    pub(crate) fn set_count(&self, count: u32) {
        if let Some(slot) = HOLDERS.slot(self.0) {
            slot.count.store(count, Ordering::Relaxed);
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(slot) = HOLDERS.slot(self.0) {
            shut(&slot.version);
            HOLDERS.give(self.0);
        }
    }
}

/// A copy of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HolderView {
    pub(crate) lock: u32,
    pub(crate) lock_version: u32,
    pub(crate) count: u32,
    pub(crate) who: Who,
    /// Whether the guard owns the semaphore.
    pub(crate) is_movable: bool,
    pub(crate) since: Ticks,
}

/// All held permits.
pub(crate) fn holders() -> Vec<HolderView> {
    let slots = HOLDERS.slots();
    slots
        .filter_map(|(_, slot)| read(&slot.version, |_| holder_view(slot)))
        .collect()
}

fn holder_view(slot: &HolderSlot) -> HolderView {
    let who = slot.who.load(Ordering::Relaxed);
    HolderView {
        lock: slot.lock.load(Ordering::Relaxed),
        lock_version: slot.lock_version.load(Ordering::Relaxed),
        count: slot.count.load(Ordering::Relaxed),
        who: Who::unpack(who & !MOVABLE),
        is_movable: who & MOVABLE != 0,
        since: slot.since.load(Ordering::Relaxed),
    }
}
