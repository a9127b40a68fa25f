//! The parts of a guard: the permit, a pointer to the value, and the charge of its release.

use super::mode::{Access, Keeper};
use super::waiters::{Charge, Waiters};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

/// A held lock: a permit `P` for a value that `V` points to. `K` keeps the lock alive that both borrow from.
///
/// The fields are dropped in this order. The charge MUST be dropped before the permit (which may be the pointer).
/// Otherwise the next holder leaves the queue before its wait is charged. The keeper MUST be last. Otherwise the permit
/// releases a freed lock.
pub(crate) struct Held<'a, P, V: Access, K: Keeper = ()> {
    charge: Charge<'a, K::Of<V::Mode>>,
    permit: P,
    value: V,
    keeper: K,
}

impl<'a, P, V: Access, K: Keeper> Held<'a, P, V, K> {
    #[inline(always)]
    pub(super) fn new(waiters: &'a Waiters, permit: P, value: V, keeper: K) -> Self {
        Held {
            charge: Charge::new(waiters),
            permit,
            value,
            keeper,
        }
    }

    pub(crate) fn keeper(&self) -> &K {
        &self.keeper
    }

    /// The same with another pointer.
    fn with<W: Access<Mode = V::Mode>>(self, point: impl FnOnce(V) -> W) -> Held<'a, P, W, K> {
        Held {
            charge: self.charge,
            value: point(self.value),
            permit: self.permit,
            keeper: self.keeper,
        }
    }
}

impl<P, V: Access + Deref, K: Keeper> Deref for Held<'_, P, V, K> {
    type Target = V::Target;

    #[inline(always)]
    fn deref(&self) -> &V::Target {
        &self.value
    }
}

impl<P, V: Access + DerefMut, K: Keeper> DerefMut for Held<'_, P, V, K> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut V::Target {
        &mut self.value
    }
}

impl<'a, P, U: ?Sized, K: Keeper> Held<'a, P, Exclusive<U>, K> {
    pub(crate) fn map<V: ?Sized>(
        mut self,
        f: impl FnOnce(&mut U) -> &mut V,
    ) -> Held<'a, P, Exclusive<V>, K> {
        let value: *mut V = f(&mut self);
        self.with(|_| Exclusive(value))
    }

    pub(crate) fn try_map<V: ?Sized>(
        mut self,
        f: impl FnOnce(&mut U) -> Option<&mut V>,
    ) -> Result<Held<'a, P, Exclusive<V>, K>, Self> {
        match f(&mut self).map(std::ptr::from_mut) {
            Some(value) => Ok(self.with(|_| Exclusive(value))),
            None => Err(self),
        }
    }
}

impl<'a, P, U: ?Sized, K: Keeper> Held<'a, P, Shared<U>, K> {
    pub(crate) fn map<V: ?Sized>(self, f: impl FnOnce(&U) -> &V) -> Held<'a, P, Shared<V>, K> {
        let value = NonNull::from(f(&self));
        self.with(|_| Shared(value))
    }

    pub(crate) fn try_map<V: ?Sized>(
        self,
        f: impl FnOnce(&U) -> Option<&V>,
    ) -> Result<Held<'a, P, Shared<V>, K>, Self> {
        match f(&self).map(NonNull::from) {
            Some(value) => Ok(self.with(|_| Shared(value))),
            None => Err(self),
        }
    }
}

/// A writer's guard that was downgraded to a reader's.
type Downgraded<'a, V, K> = Held<'a, RwLockReadGuard<'a, ()>, Shared<V>, K>;

impl<'a, U: ?Sized, K: Keeper> Held<'a, RwLockWriteGuard<'a, ()>, Exclusive<U>, K> {
    pub(crate) fn downgrade_map<V: ?Sized>(self, f: impl FnOnce(&U) -> &V) -> Downgraded<'a, V, K> {
        let value = NonNull::from(f(&self));
        self.downgrade_to(Shared(value))
    }

    pub(crate) fn try_downgrade_map<V: ?Sized>(
        self,
        f: impl FnOnce(&U) -> Option<&V>,
    ) -> Result<Downgraded<'a, V, K>, Self> {
        match f(&self).map(NonNull::from) {
            Some(value) => Ok(self.downgrade_to(Shared(value))),
            None => Err(self),
        }
    }

    /// Admits the waiting readers. Their waits are charged to it as to an unlock.
    fn downgrade_to<V: ?Sized>(self, value: Shared<V>) -> Downgraded<'a, V, K> {
        Held {
            charge: self.charge.changed(),
            permit: self.permit.downgrade(),
            value,
            keeper: self.keeper,
        }
    }
}

/// A pointer to a value that only this guard can access. It is no reference: a guard may be a function's argument while
/// it is dropped, and then the value belongs to another thread before the function returns.
pub(crate) struct Exclusive<U: ?Sized>(*mut U);

/// A pointer to a value that no thread writes.
pub(crate) struct Shared<U: ?Sized>(NonNull<U>);

impl<U: ?Sized> Exclusive<U> {
    pub(super) fn new(value: &UnsafeCell<U>) -> Self {
        Exclusive(value.get())
    }
}

impl<U: ?Sized> Shared<U> {
    #[expect(unsafe_code, reason = "a cell is nowhere null")]
    pub(super) fn new(value: &UnsafeCell<U>) -> Self {
        // SAFETY: the address of a cell behind a reference.
        Shared(unsafe { NonNull::new_unchecked(value.get()) })
    }
}

impl<U: ?Sized> Deref for Exclusive<U> {
    type Target = U;

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads what the permit gives access to")]
    fn deref(&self) -> &U {
        // SAFETY: made with a permit for the value, and never outlives the `Held` with that permit.
        unsafe { &*self.0 }
    }
}

impl<U: ?Sized> DerefMut for Exclusive<U> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "writes what the permit gives access to")]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: as above, and the permit is exclusive.
        unsafe { &mut *self.0 }
    }
}

impl<U: ?Sized> Deref for Shared<U> {
    type Target = U;

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads what the permit gives access to")]
    fn deref(&self) -> &U {
        // SAFETY: made with a permit to read the value, and never outlives the `Held` with that permit.
        unsafe { self.0.as_ref() }
    }
}

#[expect(unsafe_code, reason = "pointers that stand for references")]
// SAFETY: equivalent to `&mut U`.
unsafe impl<U: ?Sized + Send> Send for Exclusive<U> {}
#[expect(unsafe_code, reason = "pointers that stand for references")]
// SAFETY: as above.
unsafe impl<U: ?Sized + Sync> Sync for Exclusive<U> {}
#[expect(unsafe_code, reason = "pointers that stand for references")]
// SAFETY: equivalent to `&U`.
unsafe impl<U: ?Sized + Sync> Send for Shared<U> {}
#[expect(unsafe_code, reason = "pointers that stand for references")]
// SAFETY: as above.
unsafe impl<U: ?Sized + Sync> Sync for Shared<U> {}
