//! Locks that know their waiters: tokio's lock without a value as the gate, the value beside it, and the time of the
//! waiters, which counts at the code that releases the lock.
//!
//! tokio does not show the queue of waiters, and its owned guards need an `Arc` of its own lock, not of a wrapper. So
//! the gate is `tokio::sync::Mutex<()>` or `RwLock<()>`, and a guard consists of tokio's guard (the permit) and a
//! pointer to the value. The gate alone decides about waiting, fairness, cancelling and the coop budget.
//!
//! For locks that block their thread, the gate is a lock of std or of a library with the value inside. A thread that
//! cannot take it at once is a waiter.
//!
//! In reading order:
//! * [`waiters`]: the waiters' time, and the holder;
//! * [`mode`]: exclusive or shared;
//! * [`held`]: the parts of a guard;
//! * this file: the ways to get a guard;
//! * [`once`]: the same for a value that is initialized once;
//! * `raw`: the same for locks of `lock_api`, with the feature of that name;
//! * `permits`: the same for a semaphore, whose waits have no releasing code, with the feature `semaphore`.

pub(crate) mod held;
pub(crate) mod mode;
pub(crate) mod once;
#[cfg(feature = "semaphore")]
pub(crate) mod permits;
#[cfg(feature = "lock_api")]
pub(crate) mod raw;
mod waiters;

use super::regions::ThreadBlocked;
use crate::registry::locks::{LockType, Passing};
use held::{Exclusive, Held, Shared};
use mode::{Access, Mode, Owned, Reader, Sole};
use std::any::type_name;
use std::cell::UnsafeCell;
use std::panic::Location;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use waiters::{Typed, Wait, Waiters, Waiting};

/// A value and its gate.
pub(crate) struct Guarded<G, T: ?Sized> {
    door: Door<G>,
    value: UnsafeCell<T>,
}

/// A gate, with its waiters.
pub(crate) struct Door<G: ?Sized> {
    waiters: Waiters,
    gate: G,
}

#[expect(unsafe_code, reason = "shares a value by locking")]
// SAFETY: the gate gives one thread at a time access to the value, by reference or by value, so the value has to be
// `Send`.
unsafe impl<T: ?Sized + Send> Sync for Guarded<Mutex<()>, T> {}
#[expect(unsafe_code, reason = "shares a value by locking")]
// SAFETY: as for the mutex. Readers on several threads have references at once, so the value has to be `Sync` as well.
unsafe impl<T: ?Sized + Send + Sync> Sync for Guarded<RwLock<()>, T> {}

impl<T: ?Sized> Typed for Guarded<Mutex<()>, T> {
    const TYPE: &'static LockType = &LockType {
        kind: "Mutex",
        value: type_name::<T>,
        has_readers: false,
        has_permits: false,
        has_movable_guards: true,
        is_once: false,
        passing: Passing::ToOne,
    };
}

impl<T: ?Sized> Typed for Guarded<RwLock<()>, T> {
    const TYPE: &'static LockType = &LockType {
        kind: "RwLock",
        value: type_name::<T>,
        has_readers: true,
        has_permits: false,
        has_movable_guards: true,
        is_once: false,
        passing: Passing::Unknown,
    };
}

/// The value is inside of the gate, or there is none.
impl<G: ?Sized> Typed for Door<G> {
    const TYPE: &'static LockType = &LockType {
        kind: "",
        value: type_name::<G>,
        has_readers: true,
        has_permits: false,
        has_movable_guards: false,
        is_once: false,
        passing: Passing::Unknown,
    };
}

impl<G, T> Guarded<G, T> {
    #[track_caller]
    pub(crate) const fn new(gate: G, value: T) -> Self
    where
        Self: Typed,
    {
        let waiters = Waiters::new(Some(Location::caller()), Self::TYPE.passing);
        Guarded {
            door: Door { waiters, gate },
            value: UnsafeCell::new(value),
        }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<G, T: ?Sized> Guarded<G, T> {
    pub(crate) fn value_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<G> Door<G> {
    #[track_caller]
    pub(crate) const fn new(gate: G) -> Self {
        let waiters = Waiters::new(Some(Location::caller()), Passing::Unknown);
        Door { waiters, gate }
    }

    /// The same for a constant, which has no location.
    #[cfg(feature = "lock_api")]
    pub(crate) const fn constant(gate: G) -> Self {
        let waiters = Waiters::new(None, Passing::Unknown);
        Door { waiters, gate }
    }

    pub(crate) fn into_gate(self) -> G {
        self.gate
    }

    /// Extends the lifetime, for a guard that owns the lock.
    ///
    /// # Safety
    /// The door must not move until everything that was made through the reference is dropped.
    #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
    unsafe fn unbound<'a>(&self) -> &'a Self {
        // SAFETY: by contract.
        unsafe { &*std::ptr::from_ref(self) }
    }
}

impl<G: ?Sized> Door<G> {
    /// The gate. A caller that waits at it directly is not counted.
    #[inline(always)]
    pub(crate) fn gate(&self) -> &G {
        &self.gate
    }

    pub(crate) fn gate_mut(&mut self) -> &mut G {
        &mut self.gate
    }

    /// Blocks the thread until it has the lock, or has given up.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait<'a, M: Mode, R>(
        &'a self,
        block: impl FnOnce(&'a G) -> R,
        is_in: impl FnOnce(&R) -> bool,
    ) -> R {
        let mut wait = Wait::new(&self.waiters);
        wait.begin::<M>(Self::TYPE, 0);
        let blocked = ThreadBlocked::new();
        let result = block(&self.gate);
        drop(blocked);
        if is_in(&result) {
            wait.end::<M>(Self::TYPE);
        }
        result
    }

    /// The parts of a guard, for a gate with the value inside.
    #[inline(always)]
    pub(crate) fn held<V: Access>(&self, value: V) -> Held<'_, (), V> {
        Held::new(&self.waiters, (), value, ())
    }
}

/// The ways to get a guard: for a borrowed lock and for one inside of an `Arc` (where `of` finds it), with and without
/// waiting.
macro_rules! ways {
    ($gate:ty, $permit:ident, $value:ident, $mode:ident: $wait:ident, $wait_owned:ident, $try:ident, $try_owned:ident, $block:ident) => {
        impl<T: ?Sized> Guarded<$gate, T> {
            /// Waits for the lock that `of` finds in `whole`.
            #[inline]
            pub(crate) fn $wait<'a, W: ?Sized, O>(
                whole: &'a W,
                of: impl Fn(&'a W) -> &'a Self,
                guard: impl Fn(Held<'a, $permit<'a, ()>, $value<T>>, &'a W) -> O,
            ) -> impl Future<Output = O>
            where
                T: 'a,
            {
                let Door { waiters, gate } = &of(whole).door;
                Waiting::<Self, $mode, _, _, _>::new(
                    waiters,
                    gate.$wait(),
                    whole,
                    move |permit, whole| {
                        let Guarded { door, value } = of(whole);
                        let held = Held::new(&door.waiters, permit, $value::new(value), ());
                        guard(held, whole)
                    },
                )
            }

            #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
            pub(crate) async fn $wait_owned<L: ?Sized>(
                lock: Arc<L>,
                of: fn(&L) -> &Self,
            ) -> Held<'static, $permit<'static, ()>, $value<T>, Arc<L>> {
                // SAFETY: the lock is inside of the `Arc`, which this future, and then the guard, drop last.
                let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
                let permit = Waiting::<Self, Owned<$mode>, _, _, _>::new(
                    waiters,
                    gate.$wait(),
                    &(),
                    |permit, _| permit,
                )
                .await;
                let value = $value::new(&of(&lock).value);
                Held::new(waiters, permit, value, lock)
            }

            pub(crate) fn $try(
                &self,
            ) -> Result<Held<'_, $permit<'_, ()>, $value<T>>, TryLockError> {
                let Door { waiters, gate } = &self.door;
                let permit = gate.$try()?;
                Ok(Held::new(waiters, permit, $value::new(&self.value), ()))
            }

            #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
            pub(crate) fn $try_owned<L: ?Sized>(
                lock: Arc<L>,
                of: fn(&L) -> &Self,
            ) -> Result<Held<'static, $permit<'static, ()>, $value<T>, Arc<L>>, TryLockError> {
                // SAFETY: the lock is inside of the `Arc`, which the guard drops last.
                let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
                let permit = gate.$try()?;
                let value = $value::new(&of(&lock).value);
                Ok(Held::new(waiters, permit, value, lock))
            }

            #[track_caller]
            pub(crate) fn $block(&self) -> Held<'_, $permit<'_, ()>, $value<T>> {
                let Door { waiters, gate } = &self.door;
                let mut wait = Wait::new(waiters);
                wait.begin::<$mode>(Self::TYPE, 0);
                let permit = gate.$block();
                wait.end::<$mode>(Self::TYPE);
                Held::new(waiters, permit, $value::new(&self.value), ())
            }
        }
    };
}

ways!(Mutex<()>, MutexGuard, Exclusive, Sole: lock, lock_owned, try_lock, try_lock_owned, blocking_lock);
ways!(RwLock<()>, RwLockReadGuard, Shared, Reader: read, read_owned, try_read, try_read_owned, blocking_read);
ways!(RwLock<()>, RwLockWriteGuard, Exclusive, Sole: write, write_owned, try_write, try_write_owned, blocking_write);

impl<T: ?Sized> Guarded<Mutex<()>, T> {
    #[track_caller]
    #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
    pub(crate) fn blocking_lock_owned<L: ?Sized>(
        lock: Arc<L>,
        of: fn(&L) -> &Self,
    ) -> Held<'static, MutexGuard<'static, ()>, Exclusive<T>, Arc<L>> {
        // SAFETY: the lock is inside of the `Arc`, which the guard drops last.
        let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
        let mut wait = Wait::new(waiters);
        wait.begin::<Owned<Sole>>(Self::TYPE, 0);
        let permit = gate.blocking_lock();
        wait.end::<Owned<Sole>>(Self::TYPE);
        let value = Exclusive::new(&of(&lock).value);
        Held::new(waiters, permit, value, lock)
    }
}
