//! Versions of entries whose memory is never freed: odd while an entry is in use.
//!
//! The version MUST change before any other field is written for the next owner, and last when an owner begins. Otherwise a
//! reader mixes two owners.

use crate::primitive::{AtomicU32, Ordering, fence};

/// Begins an entry: writes the fields and makes the version odd.
#[inline(always)]
pub(super) fn open(version: &AtomicU32, write: impl FnOnce()) {
    // Readers must see the even version before any field of this owner.
    fence(Ordering::Release);
    write();
    let free = version.load(Ordering::Relaxed);
    version.store(free.wrapping_add(1), Ordering::Release);
}

/// Ends an entry: makes the version even.
#[inline(always)]
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
