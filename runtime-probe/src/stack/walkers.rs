//! Walkers for a signal that may interrupt many threads at once: as many as there are CPUs, and some more. Rejected: a
//! walker for each thread, which takes 44 KB.

use super::interrupted::{Trace, Walker};
use crate::primitive::{AtomicU32, Ordering, UnsafeCell};

/// Preallocated walkers. One handler at a time uses each.
pub(crate) struct Walkers(Box<[Slot]>);

struct Slot {
    /// 1 while a handler uses the slot.
    taken: AtomicU32,
    inside: UnsafeCell<(Walker, Trace)>,
}

#[expect(unsafe_code, reason = "`taken` gives a slot to one thread at a time")]
// SAFETY: the thread that has changed `taken` from 0 to 1 has exclusive access to `inside` until it changes it back.
unsafe impl Sync for Walkers {}
#[expect(unsafe_code, reason = "memory without ties to a thread")]
// SAFETY: both parts are plain memory.
unsafe impl Send for Walkers {}

impl Walkers {
    /// Allocates the walkers.
    pub(crate) fn new(count: usize) -> Walkers {
        let slot = |_| Slot {
            taken: AtomicU32::new(0),
            inside: UnsafeCell::new((Walker::new(), Trace::EMPTY)),
        };
        Walkers((0..count).map(slot).collect())
    }

    /// Calls `use_it` with a free walker and a trace; `None` if all are in use. Async-signal-safe if `use_it` is.
    #[expect(unsafe_code, reason = "`taken` gives a slot to one thread at a time")]
    pub(crate) fn with_one<R>(
        &self,
        use_it: impl FnOnce(&mut Walker, &mut Trace) -> R,
    ) -> Option<R> {
        let free = |slot: &&Slot| {
            // Acquire: pairs with the Release of the previous user.
            let taken = slot
                .taken
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
            taken.is_ok()
        };
        let slot = self.0.iter().find(free)?;
        let result = slot.inside.with_mut(|inside| {
            // SAFETY: `taken` was 0 and is 1, so no other thread uses it until the store below.
            let (walker, trace) = unsafe { &mut *inside };
            use_it(walker, trace)
        });
        slot.taken.store(0, Ordering::Release);
        Some(result)
    }
}
