//! References to a record: of the wrapper, of wakers, and of readers that wake its task. And the version, in one word with
//! their count.

use super::{Record, View};
use crate::primitive::{Ordering, fence};

/// The bits of the version are the lower ones. Above is the count less one. So the sign of the word tells that no reference
/// is left, and that there are too many, and is known from the addition itself.
pub(super) const VERSION_BITS: u32 = 30;

/// One reference.
const REFERENCE: u64 = 1 << VERSION_BITS;

/// More references than a reader adds to. Far below those that [`Record::retain`] does not survive.
const MANY: u64 = 1 << 62;

/// The word for `count` references to a record of this version.
#[inline(always)]
pub(super) fn counted(version: u32, count: u32) -> u64 {
    u64::from(count).wrapping_sub(1) << VERSION_BITS | u64::from(version)
}

/// The word of a free record that had no owner yet.
pub(super) const FREE: u64 = !(REFERENCE - 1);

/// The version in the word.
#[inline(always)]
pub(super) fn version_of(refs: u64) -> u32 {
    (refs & (REFERENCE - 1)) as u32
}

/// The version of the next owner, after that of a free record.
#[inline(always)]
pub(super) fn after(version: u32) -> u32 {
    version.wrapping_add(3) & (REFERENCE - 1) as u32
}

/// The number of references without the wrapper's.
#[inline(always)]
pub(super) fn wakers_of(refs: u64) -> u64 {
    match is_negative(refs) {
        false => refs >> VERSION_BITS,
        true => 0,
    }
}

/// Whether there are no references, or too many.
#[inline(always)]
fn is_negative(refs: u64) -> bool {
    (refs as i64) < 0
}

impl Record {
    /// The version of the record: another one for each task, and even while it is free.
    #[inline(always)]
    pub(super) fn version(&self, order: Ordering) -> u32 {
        version_of(self.refs.load(order))
    }

    /// The version, if the record has an owner.
    #[cfg(not(probe_loom))]
    pub(in crate::registry) fn owner_version(&self) -> Option<u32> {
        let version = self.version(Ordering::Relaxed);
        (!version.is_multiple_of(2)).then_some(version)
    }

    /// Makes the version that of a free record. No reference is left.
    pub(super) fn end_version(&self) {
        let refs = self.refs.load(Ordering::Relaxed);
        self.refs.store(refs & !1, Ordering::Relaxed);
    }

    /// Takes another reference.
    #[inline(always)]
    pub(crate) fn retain(&self) {
        let before = self.refs.fetch_add(REFERENCE, Ordering::Relaxed);
        if is_negative(before.wrapping_add(REFERENCE)) {
            // As in `Arc` and in tokio, too many forgotten wakers are fatal: here 2^33.
            std::process::abort();
        }
    }

    /// The same while no other thread knows the record.
    #[cfg(any(feature = "rt", probe_loom))]
    #[inline(always)]
    pub(crate) fn retain_unshared(&self) {
        let refs = self.refs.load(Ordering::Relaxed);
        // Release: as the store at the end of `open`, which it replaces.
        self.refs.store(refs + REFERENCE, Ordering::Release);
    }

    /// Takes a reference for a reader, to the task of `view`. `false` if the record belongs to another task by now, and
    /// if the view was not taken between two polls. Never changes another task's count.
    #[must_use]
    pub(in crate::registry) fn retain_for(&self, view: &View) -> bool {
        if view.polling || view.polls == 0 {
            return false;
        }
        let mut refs = self.refs.load(Ordering::Relaxed);
        while !is_negative(refs) && refs < MANY && version_of(refs) == view.version {
            match self.refs.compare_exchange_weak(
                refs,
                refs + REFERENCE,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => refs = now,
            }
        }
        false
    }

    /// Drops a reference. `true` if it was the last one: then the record must be returned to the slab.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // Not `fetch_sub`: only of an addition of this number does the compiler take the sign of the sum at once.
        const ONE_LESS: u64 = REFERENCE.wrapping_neg();
        let before = self.refs.fetch_add(ONE_LESS, Ordering::Release);
        if !is_negative(before.wrapping_add(ONE_LESS)) {
            return false;
        }
        // Pairs with the Release of the other decrements: their owners' writes are visible now.
        fence(Ordering::Acquire);
        true
    }
}
