//! Locks that know their waiters: tokio's lock around nothing, which decides who is in, the value beside it, and the
//! waiters' time, which is charged to the code that releases the lock.
//!
//! tokio shows no queue of waiters, and its owned guards cannot be had from an `Arc` of a type that wraps its lock. So
//! the gate is `tokio::sync::Mutex<()>` or `RwLock<()>`, and the value is reached by a pointer that goes with the permit.
//! Waiting, fairness, cancelling and the coop budget are the gate's, untouched: it is polled, and what it answers decides.
//!
//! Locks that block their thread hide nothing, so there the gate is a lock of std or of a library with the value in it. It
//! is tried, and a thread that it does not let in at once is a waiter.
//!
//! In reading order:
//! * [`waiters`]: the time that waiters have spent, and who was charged with it;
//! * [`mode`]: alone or beside others;
//! * [`held`]: what a guard consists of;
//! * this file: how one gets it;
//! * [`once`]: the same for a value that is made once;
//! * `raw`: the same for locks of `lock_api`, with the feature of that name;
//! * `permits`: the same for a semaphore, whose time is charged to nothing, with the feature `semaphore`.

pub(crate) mod held;
pub(crate) mod mode;
pub(crate) mod once;
#[cfg(feature = "semaphore")]
pub(crate) mod permits;
#[cfg(feature = "lock_api")]
pub(crate) mod raw;
mod waiters;

use crate::registry::locks::LockType;
use held::{Exclusive, Held, Shared};
use mode::{Access, Mode, Reader, Sole};
use std::any::type_name;
use std::cell::UnsafeCell;
use std::panic::Location;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use waiters::{Typed, Wait, Waiters, Waiting};

/// A value and the gate before it.
pub(crate) struct Guarded<G, T: ?Sized> {
    door: Door<G>,
    value: UnsafeCell<T>,
}

/// A gate, which decides who is in, and those who wait before it.
pub(crate) struct Door<G: ?Sized> {
    waiters: Waiters,
    gate: G,
}

#[expect(unsafe_code, reason = "shares a value by locking")]
// SAFETY: the gate lets one thread at a time to the value, by reference or by value, so it has to be `Send`.
unsafe impl<T: ?Sized + Send> Sync for Guarded<Mutex<()>, T> {}
#[expect(unsafe_code, reason = "shares a value by locking")]
// SAFETY: as for the mutex; and readers on several threads have references at once, so it has to be `Sync` as well.
unsafe impl<T: ?Sized + Send + Sync> Sync for Guarded<RwLock<()>, T> {}

impl<T: ?Sized> Typed for Guarded<Mutex<()>, T> {
    const TYPE: &'static LockType = &LockType {
        kind: "Mutex",
        value: type_name::<T>,
        has_readers: false,
        has_permits: false,
        is_once: false,
    };
}

impl<T: ?Sized> Typed for Guarded<RwLock<()>, T> {
    const TYPE: &'static LockType = &LockType {
        kind: "RwLock",
        value: type_name::<T>,
        has_readers: true,
        has_permits: false,
        is_once: false,
    };
}

/// The gate has the value inside, or there is none.
impl<G: ?Sized> Typed for Door<G> {
    const TYPE: &'static LockType = &LockType {
        kind: "",
        value: type_name::<G>,
        has_readers: true,
        has_permits: false,
        is_once: false,
    };
}

impl<G, T> Guarded<G, T> {
    #[track_caller]
    pub(crate) const fn new(gate: G, value: T) -> Self {
        Guarded {
            door: Door::new(gate),
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
        let waiters = Waiters::new(Some(Location::caller()));
        Door { waiters, gate }
    }

    /// The same as a constant, which is created nowhere in particular.
    #[cfg(feature = "lock_api")]
    pub(crate) const fn constant(gate: G) -> Self {
        let waiters = Waiters::new(None);
        Door { waiters, gate }
    }

    pub(crate) fn into_gate(self) -> G {
        self.gate
    }

    /// As long-lived as a guard that owns the lock wants it.
    ///
    /// # Safety
    /// The door stays where it is until everything that was got through the reference is gone.
    #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
    unsafe fn unbound<'a>(&self) -> &'a Self {
        // SAFETY: by contract.
        unsafe { &*std::ptr::from_ref(self) }
    }
}

impl<G: ?Sized> Door<G> {
    /// A caller that waits at the gate itself is not counted.
    #[inline(always)]
    pub(crate) fn gate(&self) -> &G {
        &self.gate
    }

    pub(crate) fn gate_mut(&mut self) -> &mut G {
        &mut self.gate
    }

    /// Blocks the thread until it is in, or has given up.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait<'a, M: Mode, R>(
        &'a self,
        block: impl FnOnce(&'a G) -> R,
        is_in: impl FnOnce(&R) -> bool,
    ) -> R {
        let mut wait = Wait::new::<M>(&self.waiters);
        wait.begin(Self::TYPE);
        let result = block(&self.gate);
        if is_in(&result) {
            wait.end::<M>();
        }
        result
    }

    /// What a guard consists of whose gate gave out a pointer to the value.
    #[inline(always)]
    pub(crate) fn held<V: Access>(&self, value: V) -> Held<'_, (), V> {
        Held::new(&self.waiters, (), value, ())
    }
}

/// The ways to get a guard: for a borrowed lock and for one in an `Arc`, in which `of` finds it; waiting, and not.
macro_rules! ways {
    ($gate:ty, $permit:ident, $value:ident, $mode:ident: $wait:ident, $wait_owned:ident, $try:ident, $try_owned:ident, $block:ident) => {
        impl<T: ?Sized> Guarded<$gate, T> {
            pub(crate) fn $wait<'a, O>(
                &'a self,
                guard: impl Fn(Held<'a, $permit<'a, ()>, $value<T>>) -> O,
            ) -> impl Future<Output = O> {
                let Door { waiters, gate } = &self.door;
                Waiting::<Self, $mode, _, _>::new(waiters, gate.$wait(), move |permit| {
                    guard(Held::new(waiters, permit, $value::new(&self.value), ()))
                })
            }

            #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
            pub(crate) async fn $wait_owned<L: ?Sized>(
                lock: Arc<L>,
                of: fn(&L) -> &Self,
            ) -> Held<'static, $permit<'static, ()>, $value<T>, Arc<L>> {
                // SAFETY: it lies in what the `Arc` holds, which this future, then the guard, drop last.
                let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
                let permit =
                    Waiting::<Self, $mode, _, _>::new(waiters, gate.$wait(), |permit| permit).await;
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
                // SAFETY: it lies in what the `Arc` holds, which the guard drops last.
                let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
                let permit = gate.$try()?;
                let value = $value::new(&of(&lock).value);
                Ok(Held::new(waiters, permit, value, lock))
            }

            #[track_caller]
            pub(crate) fn $block(&self) -> Held<'_, $permit<'_, ()>, $value<T>> {
                let Door { waiters, gate } = &self.door;
                let mut wait = Wait::new::<$mode>(waiters);
                wait.begin(Self::TYPE);
                let permit = gate.$block();
                wait.end::<$mode>();
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
        // SAFETY: it lies in what the `Arc` holds, which the guard drops last.
        let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
        let mut wait = Wait::new::<Sole>(waiters);
        wait.begin(Self::TYPE);
        let permit = gate.blocking_lock();
        wait.end::<Sole>();
        let value = Exclusive::new(&of(&lock).value);
        Held::new(waiters, permit, value, lock)
    }
}
