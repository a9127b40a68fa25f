//! Locks that know who waits for them: tokio's lock around nothing, which decides who is in, the value beside it, and the
//! waiters' time, which whoever releases the lock is charged with.
//!
//! tokio shows no queue of waiters, and its owned guards cannot be had from an `Arc` of a type that wraps its lock. So
//! the gate is `tokio::sync::Mutex<()>` or `RwLock<()>`, and the value is reached by a pointer that goes with the permit.
//! Waiting, fairness, cancelling and the coop budget are the gate's, untouched: it is polled, and what it answers decides.
//!
//! In reading order:
//! * [`waiters`]: the time that waiters have spent, and who was charged with it;
//! * [`held`]: what a guard consists of;
//! * this file: how one gets it.

pub(crate) mod held;
mod waiters;

use held::{Exclusive, Held, Shared};
use std::cell::UnsafeCell;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use waiters::{Wait, Waiters, Waiting};

/// A value and the gate before it.
pub(crate) struct Guarded<G, T: ?Sized> {
    door: Door<G>,
    value: UnsafeCell<T>,
}

/// What of a lock has nothing to do with its value.
struct Door<G> {
    waiters: Waiters,
    gate: G,
}

#[expect(unsafe_code, reason = "shares a value by locking")]
// SAFETY: the gate lets one thread at a time to the value, by reference or by value, so it has to be `Send`.
unsafe impl<T: ?Sized + Send> Sync for Guarded<Mutex<()>, T> {}
#[expect(unsafe_code, reason = "shares a value by locking")]
// SAFETY: as for the mutex; and readers on several threads have references at once, so it has to be `Sync` as well.
unsafe impl<T: ?Sized + Send + Sync> Sync for Guarded<RwLock<()>, T> {}

impl<G, T> Guarded<G, T> {
    pub(crate) const fn new(gate: G, value: T) -> Self {
        let waiters = Waiters::new();
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

/// The ways to get a guard: for a borrowed lock and for one in an `Arc`, in which `of` finds it; waiting, and not.
macro_rules! ways {
    ($gate:ty, $permit:ident, $value:ident: $wait:ident, $wait_owned:ident, $try:ident, $try_owned:ident, $block:ident) => {
        impl<T: ?Sized> Guarded<$gate, T> {
            pub(crate) async fn $wait(&self) -> Held<'_, $permit<'_, ()>, $value<T>> {
                let Door { waiters, gate } = &self.door;
                let permit = Waiting::new(waiters, gate.$wait()).await;
                Held::new(waiters, permit, $value::new(&self.value), ())
            }

            #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
            pub(crate) async fn $wait_owned<L: ?Sized>(
                lock: Arc<L>,
                of: fn(&L) -> &Self,
            ) -> Held<'static, $permit<'static, ()>, $value<T>, Arc<L>> {
                // SAFETY: it lies in what the `Arc` holds, which this future, then the guard, drop last.
                let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
                let permit = Waiting::new(waiters, gate.$wait()).await;
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
                let mut wait = Wait::new(waiters);
                wait.begin();
                let permit = gate.$block();
                wait.end();
                Held::new(waiters, permit, $value::new(&self.value), ())
            }
        }
    };
}

ways!(Mutex<()>, MutexGuard, Exclusive: lock, lock_owned, try_lock, try_lock_owned, blocking_lock);
ways!(RwLock<()>, RwLockReadGuard, Shared: read, read_owned, try_read, try_read_owned, blocking_read);
ways!(RwLock<()>, RwLockWriteGuard, Exclusive: write, write_owned, try_write, try_write_owned, blocking_write);

impl<T: ?Sized> Guarded<Mutex<()>, T> {
    #[track_caller]
    #[expect(unsafe_code, reason = "guards that own their lock refer to themselves")]
    pub(crate) fn blocking_lock_owned<L: ?Sized>(
        lock: Arc<L>,
        of: fn(&L) -> &Self,
    ) -> Held<'static, MutexGuard<'static, ()>, Exclusive<T>, Arc<L>> {
        // SAFETY: it lies in what the `Arc` holds, which the guard drops last.
        let Door { waiters, gate } = unsafe { of(&lock).door.unbound() };
        let mut wait = Wait::new(waiters);
        wait.begin();
        let permit = gate.blocking_lock();
        wait.end();
        let value = Exclusive::new(&of(&lock).value);
        Held::new(waiters, permit, value, lock)
    }
}
