//! The slot of the task's own waker, which our waker passes every wake on to.
//!
//! A spawned task has one waker from its first poll to its end, so the slot is written once, before any waker of ours
//! exists that could read it. The waker of a `block_on` root or of a nested future may change from poll to poll while
//! wakers of ours exist, so those slots are read under a lock. Rejected: a lock for all slots. A wake took 75 to 105 ns
//! with it, and takes 6 ns without.

use crate::primitive::{Mutex, UnsafeCell, lock};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// How a slot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Once, before the first reader.
    Once,
    /// At any poll.
    Often,
}

/// The slot. The record decides which code may call which method: see the safety sections.
#[derive(Debug)]
pub(crate) struct WakeSlot {
    waker: UnsafeCell<Option<Waker>>,
    /// In place of [`GUARDS`]: loom's types are made in each execution.
    #[cfg(probe_loom)]
    guard: Mutex<()>,
}

/// The locks of slots that are written often, by the slot's address: a lock in each would be a word in every record.
#[cfg(not(probe_loom))]
static GUARDS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

impl WakeSlot {
    #[cfg(not(probe_loom))]
    pub(crate) const fn new() -> Self {
        Self {
            waker: UnsafeCell::new(None),
        }
    }

    #[cfg(probe_loom)]
    pub(crate) fn new() -> Self {
        Self {
            guard: Mutex::new(()),
            waker: UnsafeCell::new(None),
        }
    }

    #[cfg(not(probe_loom))]
    fn guard(&self) -> &Mutex<()> {
        // Slots of neighbouring records have different locks.
        let at = std::ptr::from_ref(self).addr() / align_of::<super::task::Record>();
        &GUARDS[at % GUARDS.len()]
    }

    #[cfg(probe_loom)]
    fn guard(&self) -> &Mutex<()> {
        &self.guard
    }

    /// Sets the waker.
    ///
    /// # Safety
    /// Only the poller calls this. With [`Written::Once`] it does so before it hands out the first waker that reads
    /// this slot, and hands it out in a way that orders the write before the read.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "the slot is shared by rules that only the record knows"
    )]
    pub(crate) unsafe fn set(&self, how: Written, waker: &Waker) {
        match how {
            // SAFETY: no reader yet, by this function's contract; a second call sees its own earlier write.
            Written::Once => self.waker.with_mut(|slot| unsafe {
                if (*slot).is_none() {
                    *slot = Some(waker.clone());
                }
            }),
            // SAFETY: the contract of this function.
            Written::Often => unsafe { self.set_often(waker) },
        }
    }

    /// The same with [`Written::Once`], if the slot was not written yet.
    ///
    /// # Safety
    /// As for [`WakeSlot::set`], and the slot is empty.
    #[cfg(feature = "rt")]
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "the slot is shared by rules that only the record knows"
    )]
    pub(crate) unsafe fn set_first(&self, waker: &Waker) {
        let waker = waker.clone();
        // SAFETY: no reader yet.
        debug_assert!(self.waker.with(|slot| unsafe { &*slot }.is_none()));
        // SAFETY: no reader yet. The slot is empty, so nothing has to be dropped.
        self.waker
            .with_mut(|slot| unsafe { std::ptr::write(slot, Some(waker)) });
    }

    /// # Safety
    /// As for [`WakeSlot::set`] with [`Written::Often`].
    #[inline(never)]
    #[expect(
        unsafe_code,
        reason = "the slot is shared by rules that only the record knows"
    )]
    unsafe fn set_often(&self, waker: &Waker) {
        let is_set = self.waker.with(|slot| {
            // SAFETY: the poller is the only writer, so it may read without the lock.
            unsafe { &*slot }
                .as_ref()
                .is_some_and(|old| held(old).will_wake(waker))
        });
        if is_set {
            return;
        }
        // Cloning and dropping `waker` runs foreign code, which may call this function, so both happen outside of the
        // lock. Under the lock, readers clone our own [`hold`], which only counts.
        let new = hold(waker.clone());
        let old = {
            let _guard = lock(self.guard());
            // SAFETY: readers of such a slot hold the lock.
            self.waker.with_mut(|slot| unsafe { (*slot).replace(new) })
        };
        drop(old);
    }

    /// Wakes the task.
    ///
    /// # Safety
    /// `how` is what the slot is written with, and (for [`Written::Once`]) the write happened before.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "the slot is shared by rules that only the record knows"
    )]
    pub(crate) unsafe fn wake(&self, how: Written) {
        match how {
            Written::Once => self.waker.with(|slot| {
                // SAFETY: written before this reader existed, if ever, and never again while readers exist.
                if let Some(waker) = unsafe { &*slot } {
                    waker.wake_by_ref();
                }
            }),
            // SAFETY: the contract of this function.
            Written::Often => unsafe { self.wake_often() },
        }
    }

    /// The same with [`Written::Once`], if the slot was written.
    ///
    /// # Safety
    /// As for [`WakeSlot::wake`], and the slot was written.
    #[cfg(not(probe_loom))]
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "the slot is shared by rules that only the record knows"
    )]
    pub(crate) unsafe fn wake_written(&self) {
        self.waker.with(|slot| {
            // SAFETY: written before this reader existed, and never again while readers exist.
            unsafe { (*slot).as_ref().unwrap_unchecked() }.wake_by_ref();
        });
    }

    /// # Safety
    /// As for [`WakeSlot::wake`] with [`Written::Often`].
    #[inline(never)]
    #[expect(
        unsafe_code,
        reason = "the slot is shared by rules that only the record knows"
    )]
    unsafe fn wake_often(&self) {
        let waker = {
            let _guard = lock(self.guard());
            // SAFETY: under the lock that the writer takes.
            self.waker.with(|slot| unsafe { &*slot }.clone())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The address of the waker, or of the empty slot.
    #[cfg(feature = "rt")]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(&self.waker).addr()
    }

    /// Empties the slot.
    ///
    /// # Safety
    /// No other code uses the slot any more.
    #[expect(
        unsafe_code,
        reason = "the slot is shared by rules that only the record knows"
    )]
    pub(crate) unsafe fn clear(&self) {
        // SAFETY: by contract there is no other user.
        drop(self.waker.with_mut(|slot| unsafe { (*slot).take() }));
    }
}

/// A waker that passes wakes on to `waker`, and whose clones only count.
fn hold(waker: Waker) -> Waker {
    raw_hold(Arc::new(waker))
}

#[expect(unsafe_code, reason = "a waker")]
fn raw_hold(waker: Arc<Waker>) -> Waker {
    // SAFETY: the functions below take such data, and Arc is thread-safe.
    unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(waker).cast(), &HOLD)) }
}

/// The waker inside one that [`hold`] made.
#[expect(unsafe_code, reason = "reads a waker's data")]
fn held(hold: &Waker) -> &Waker {
    debug_assert!(std::ptr::eq(hold.vtable(), &HOLD));
    // SAFETY: slots that are written often hold nothing else, and the data lives as long as the waker.
    unsafe { &*hold.data().cast::<Waker>() }
}

#[expect(unsafe_code, reason = "a waker's vtable")]
static HOLD: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: data of `raw_hold`, whose count is kept.
        let waker = ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Waker>()) });
        RawWaker::new(Arc::into_raw(Arc::clone(&waker)).cast(), &HOLD)
    },
    // SAFETY: data of `raw_hold`, whose count this call owns.
    |data| unsafe { Arc::from_raw(data.cast::<Waker>()) }.wake_by_ref(),
    // SAFETY: data of `raw_hold`, which lives as long as the waker.
    |data| unsafe { &*data.cast::<Waker>() }.wake_by_ref(),
    // SAFETY: data of `raw_hold`, whose count this call owns.
    |data| drop(unsafe { Arc::from_raw(data.cast::<Waker>()) }),
);
