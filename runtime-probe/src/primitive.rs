//! All atomics and cells are imported from here. `--cfg probe_loom` replaces std's types by loom's.

#[cfg(not(probe_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(probe_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(not(probe_loom))]
pub(crate) use crossbeam_queue::ArrayQueue;

/// In place of crossbeam's queue, which loom does not see into: up to four numbers, 16 bits each, the first one lowest.
/// What happened before a push happens before the pop of that number.
#[cfg(probe_loom)]
#[derive(Debug)]
pub(crate) struct ArrayQueue<T>(AtomicU64, std::marker::PhantomData<T>);

#[cfg(probe_loom)]
impl ArrayQueue<u32> {
    pub(crate) fn new(most: usize) -> Self {
        assert!(most <= 4);
        ArrayQueue(AtomicU64::new(0), std::marker::PhantomData)
    }

    pub(crate) fn len(&self) -> usize {
        Self::count(self.0.load(Ordering::Acquire)) as usize
    }

    pub(crate) fn push(&self, number: u32) -> Result<(), u32> {
        let push = |queue| {
            assert!(number != 0 && Self::count(queue) < 4);
            Some(queue | u64::from(number) << (16 * Self::count(queue)))
        };
        let pushed = self
            .0
            .fetch_update(Ordering::Release, Ordering::Relaxed, push);
        pushed.map(drop).map_err(|_| number)
    }

    pub(crate) fn pop(&self) -> Option<u32> {
        let pop = |queue| (queue != 0).then_some(queue >> 16);
        let popped = self
            .0
            .fetch_update(Ordering::Acquire, Ordering::Acquire, pop);
        popped.ok().map(|queue| queue as u16 as u32)
    }

    fn count(queue: u64) -> u32 {
        (u64::BITS - queue.leading_zeros()).div_ceil(16)
    }
}

/// loom's `UnsafeCell` interface (access by closure) over either cell.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(
    #[cfg(not(probe_loom))] std::cell::UnsafeCell<T>,
    #[cfg(probe_loom)] loom::cell::UnsafeCell<T>,
);

impl<T> UnsafeCell<T> {
    #[cfg(not(probe_loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[cfg(probe_loom)]
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        #[cfg(not(probe_loom))]
        return f(self.0.get());
        #[cfg(probe_loom)]
        self.0.with(f)
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(not(probe_loom))]
        return f(self.0.get());
        #[cfg(probe_loom)]
        self.0.with_mut(f)
    }
}

/// Reads a word that no other thread writes, for an instruction less where the compiler can take it from memory.
///
/// # Safety
/// No other thread writes the word at this time; others may read it.
#[inline(always)]
#[expect(unsafe_code, reason = "reads an atomic word as a plain one")]
pub(crate) unsafe fn read_own(word: &AtomicU64) -> u64 {
    #[cfg(not(probe_loom))]
    // SAFETY: by contract there is no write, so no data race.
    return unsafe { *word.as_ptr() };
    #[cfg(probe_loom)]
    // SAFETY: by contract there is no write.
    unsafe {
        word.unsync_load()
    }
}

/// Locks a mutex, and ignores poison: no code of ours panics while it holds a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
