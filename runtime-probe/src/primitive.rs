//! All atomics and cells are imported from here. `--cfg probe_loom` replaces std's types by loom's.

#[cfg(not(probe_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(probe_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

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

/// Locks a mutex, and ignores poison: no code of ours panics while it holds a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
