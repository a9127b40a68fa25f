use super::{OwnedRwLockReadGuard, RwLock, RwLockReadGuard, points_to_its_value};
use crate::source::locks::held::{Exclusive, Held};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::RwLockWriteGuard as Permit;

/// Access to what an [`RwLock`] guards. Mirrors [`tokio::sync::RwLockWriteGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    held: Held<'a, Permit<'a, ()>, Exclusive<T>>,
    // A downgraded guard may have other readers beside it, on the thread that it came from. So it may move to another
    // thread only if the lock may be shared.
    marker: PhantomData<&'a RwLock<T>>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    pub(super) fn new(held: Held<'a, Permit<'a, ()>, Exclusive<T>>) -> Self {
        let marker = PhantomData;
        RwLockWriteGuard { held, marker }
    }

    /// Access to a part. Mirrors [`tokio::sync::RwLockWriteGuard::map`].
    #[inline]
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        RwLockMappedWriteGuard::new(this.held.map(f))
    }

    /// Lets other readers in, and goes on with a look at a part. Mirrors
    /// [`tokio::sync::RwLockWriteGuard::downgrade_map`].
    #[inline]
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        RwLockReadGuard::new(this.held.downgrade_map(f))
    }

    /// Access to a part, if there is such. Mirrors [`tokio::sync::RwLockWriteGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockMappedWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        this.held
            .try_map(f)
            .map(RwLockMappedWriteGuard::new)
            .map_err(Self::new)
    }

    /// Lets other readers in, and goes on with a look at a part, if there is such. Mirrors
    /// [`tokio::sync::RwLockWriteGuard::try_downgrade_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        this.held
            .try_downgrade_map(f)
            .map(RwLockReadGuard::new)
            .map_err(Self::new)
    }

    /// The same access, as a guard of a part. Mirrors [`tokio::sync::RwLockWriteGuard::into_mapped`].
    #[inline]
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        RwLockMappedWriteGuard::new(this.held)
    }

    /// Lets other readers in, and goes on as one of them. Mirrors [`tokio::sync::RwLockWriteGuard::downgrade`].
    #[inline]
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard::new(self.held.downgrade_map(|value| value))
    }
}

/// Access to what an [`RwLock`] in an [`Arc`] guards. Mirrors [`tokio::sync::OwnedRwLockWriteGuard`].
#[clippy::has_significant_drop]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    held: Held<'static, Permit<'static, ()>, Exclusive<T>, Arc<RwLock<T>>>,
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    pub(super) fn new(
        held: Held<'static, Permit<'static, ()>, Exclusive<T>, Arc<RwLock<T>>>,
    ) -> Self {
        OwnedRwLockWriteGuard { held }
    }

    /// Access to a part. Mirrors [`tokio::sync::OwnedRwLockWriteGuard::map`].
    #[inline]
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let held = this.held.map(f);
        OwnedRwLockMappedWriteGuard { held }
    }

    /// Lets other readers in, and goes on with a look at a part. Mirrors
    /// [`tokio::sync::OwnedRwLockWriteGuard::downgrade_map`].
    #[inline]
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, U>
    where
        F: FnOnce(&T) -> &U,
    {
        OwnedRwLockReadGuard::new(this.held.downgrade_map(f))
    }

    /// Access to a part, if there is such. Mirrors [`tokio::sync::OwnedRwLockWriteGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<F, U: ?Sized>(
        this: Self,
        f: F,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        this.held
            .try_map(f)
            .map(|held| OwnedRwLockMappedWriteGuard { held })
            .map_err(Self::new)
    }

    /// Lets other readers in, and goes on with a look at a part, if there is such. Mirrors
    /// [`tokio::sync::OwnedRwLockWriteGuard::try_downgrade_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_downgrade_map<F, U: ?Sized>(
        this: Self,
        f: F,
    ) -> Result<OwnedRwLockReadGuard<T, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        this.held
            .try_downgrade_map(f)
            .map(OwnedRwLockReadGuard::new)
            .map_err(Self::new)
    }

    /// The same access, as a guard of a part. Mirrors [`tokio::sync::OwnedRwLockWriteGuard::into_mapped`].
    #[inline]
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        OwnedRwLockMappedWriteGuard { held: this.held }
    }

    /// Lets other readers in, and goes on as one of them. Mirrors [`tokio::sync::OwnedRwLockWriteGuard::downgrade`].
    #[inline]
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard::new(self.held.downgrade_map(|value| value))
    }

    /// The lock. Mirrors [`tokio::sync::OwnedRwLockWriteGuard::rwlock`].
    #[inline]
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.held.keeper()
    }
}

/// Access to a part of what an [`RwLock`] guards. Mirrors [`tokio::sync::RwLockMappedWriteGuard`].
#[clippy::has_significant_drop]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    held: Held<'a, Permit<'a, ()>, Exclusive<T>>,
    // tokio's guard moves to another thread only if the lock may be shared.
    marker: PhantomData<&'a RwLock<T>>,
}

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    fn new(held: Held<'a, Permit<'a, ()>, Exclusive<T>>) -> Self {
        let marker = PhantomData;
        RwLockMappedWriteGuard { held, marker }
    }

    /// Access to a part of the part. Mirrors [`tokio::sync::RwLockMappedWriteGuard::map`].
    #[inline]
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        RwLockMappedWriteGuard::new(this.held.map(f))
    }

    /// Access to a part of the part, if there is such. Mirrors [`tokio::sync::RwLockMappedWriteGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockMappedWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        this.held
            .try_map(f)
            .map(RwLockMappedWriteGuard::new)
            .map_err(Self::new)
    }
}

/// Access to a part of what an [`RwLock`] in an [`Arc`] guards. Mirrors [`tokio::sync::OwnedRwLockMappedWriteGuard`].
#[clippy::has_significant_drop]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized, U: ?Sized = T> {
    held: Held<'static, Permit<'static, ()>, Exclusive<U>, Arc<RwLock<T>>>,
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockMappedWriteGuard<T, U> {
    /// Access to a part of the part. Mirrors [`tokio::sync::OwnedRwLockMappedWriteGuard::map`].
    #[inline]
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, V>
    where
        F: FnOnce(&mut U) -> &mut V,
    {
        let held = this.held.map(f);
        OwnedRwLockMappedWriteGuard { held }
    }

    /// Access to a part of the part, if there is such. Mirrors [`tokio::sync::OwnedRwLockMappedWriteGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<F, V: ?Sized>(
        this: Self,
        f: F,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, V>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut V>,
    {
        this.held
            .try_map(f)
            .map(|held| OwnedRwLockMappedWriteGuard { held })
            .map_err(|held| Self { held })
    }

    /// The lock. Mirrors [`tokio::sync::OwnedRwLockMappedWriteGuard::rwlock`].
    #[inline]
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.held.keeper()
    }
}

points_to_its_value!(mut RwLockWriteGuard<'_, T>, T, [T: ?Sized]);
points_to_its_value!(mut OwnedRwLockWriteGuard<T>, T, [T: ?Sized]);
points_to_its_value!(mut RwLockMappedWriteGuard<'_, T>, T, [T: ?Sized]);
points_to_its_value!(mut OwnedRwLockMappedWriteGuard<T, U>, U, [T: ?Sized, U: ?Sized]);
