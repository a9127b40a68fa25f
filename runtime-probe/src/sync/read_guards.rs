use super::{RwLock, points_to_its_value};
use crate::source::locks::held::{Held, Shared};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::RwLockReadGuard as Permit;

/// Read access to the value of an [`RwLock`], or to a part of it. Mirrors [`tokio::sync::RwLockReadGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    held: Held<'a, Permit<'a, ()>, Shared<T>>,
    marker: PhantomData<&'a T>,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    pub(super) fn new(held: Held<'a, Permit<'a, ()>, Shared<T>>) -> Self {
        let marker = PhantomData;
        RwLockReadGuard { held, marker }
    }

    /// A look at a part. Mirrors [`tokio::sync::RwLockReadGuard::map`].
    #[inline]
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        RwLockReadGuard::new(this.held.map(f))
    }

    /// A look at a part, if there is such. Mirrors [`tokio::sync::RwLockReadGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        this.held
            .try_map(f)
            .map(RwLockReadGuard::new)
            .map_err(Self::new)
    }
}

/// Read access to the value of an [`RwLock`] in an [`Arc`], or to a part of it. Mirrors
/// [`tokio::sync::OwnedRwLockReadGuard`].
#[clippy::has_significant_drop]
pub struct OwnedRwLockReadGuard<T: ?Sized, U: ?Sized = T> {
    held: Held<'static, Permit<'static, ()>, Shared<U>, Arc<RwLock<T>>>,
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    pub(super) fn new(held: Held<'static, Permit<'static, ()>, Shared<U>, Arc<RwLock<T>>>) -> Self {
        OwnedRwLockReadGuard { held }
    }

    /// A look at a part. Mirrors [`tokio::sync::OwnedRwLockReadGuard::map`].
    #[inline]
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, V>
    where
        F: FnOnce(&U) -> &V,
    {
        OwnedRwLockReadGuard::new(this.held.map(f))
    }

    /// A look at a part, if there is such. Mirrors [`tokio::sync::OwnedRwLockReadGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, V>, Self>
    where
        F: FnOnce(&U) -> Option<&V>,
    {
        this.held
            .try_map(f)
            .map(OwnedRwLockReadGuard::new)
            .map_err(Self::new)
    }

    /// The lock. Mirrors [`tokio::sync::OwnedRwLockReadGuard::rwlock`].
    #[inline]
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.held.keeper()
    }
}

points_to_its_value!(RwLockReadGuard<'_, T>, T, [T: ?Sized]);
points_to_its_value!(OwnedRwLockReadGuard<T, U>, U, [T: ?Sized, U: ?Sized]);
