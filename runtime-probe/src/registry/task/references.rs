//! Who keeps a record: the wrapper, wakers, and readers that mean to wake its task.

use super::{Record, View};
use crate::primitive::{Ordering, fence};

/// References of one task. Far above it the count would run into the version; threads that race stay below that.
const MOST_REFS: u32 = i32::MAX as u32;

/// The word of `count` references to a record of this version.
pub(super) fn counted(version: u32, count: u32) -> u64 {
    u64::from(version) << 32 | u64::from(count)
}

impl Record {
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
    pub(in crate::registry) fn retain_for(&self, view: &View) -> bool {
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
}
