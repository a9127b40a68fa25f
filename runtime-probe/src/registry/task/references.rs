//! References to a record: of the wrapper, of wakers, and of readers that wake its task.

use super::{Record, View};
use crate::primitive::{Ordering, fence};

/// The most references of a task. A much larger count would overflow into the version; racing threads cannot exceed
/// this by so much.
const MOST_REFS: u32 = i32::MAX as u32;

/// The word for `count` references to a record of this version.
pub(super) fn counted(version: u32, count: u32) -> u64 {
    u64::from(version) << 32 | u64::from(count)
}

impl Record {
    /// Takes another reference.
    #[inline(always)]
    pub(crate) fn retain(&self) {
        if self.refs.fetch_add(1, Ordering::Relaxed) as u32 > MOST_REFS {
            // As in `Arc` and in tokio, 2^31 forgotten wakers are fatal.
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

    /// Takes a reference for a reader, to the task of `view`. `false` if the record belongs to another task by now, and
    /// if the view was not taken between two polls. Never changes another task's count.
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

    /// Drops a reference. `true` if it was the last one: then the record must be returned to the slab.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        if self.refs.fetch_sub(1, Ordering::Release) as u32 != 1 {
            return false;
        }
        // Pairs with the Release of the other decrements: their owners' writes are visible now.
        fence(Ordering::Acquire);
        true
    }
}
