use super::{Mutex, points_to_its_value};
use crate::source::locks::held::{Exclusive, Held};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::MutexGuard as Permit;

/// Access to the value of a [`Mutex`]. Mirrors [`tokio::sync::MutexGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    held: Held<'a, Permit<'a, ()>, Exclusive<T>>,
    lock: &'a Mutex<T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    pub(super) fn new(held: Held<'a, Permit<'a, ()>, Exclusive<T>>, lock: &'a Mutex<T>) -> Self {
        MutexGuard { held, lock }
    }

    /// Access to a part of the value. Mirrors [`tokio::sync::MutexGuard::map`].
    #[inline]
    pub fn map<U, F>(this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        MappedMutexGuard::new(this.held.map(f))
    }

    /// Access to a part of the value, if there is such a part. Mirrors [`tokio::sync::MutexGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<U, F>(this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        let Self { held, lock } = this;
        held.try_map(f)
            .map(MappedMutexGuard::new)
            .map_err(|held| Self { held, lock })
    }

    /// The lock. Mirrors [`tokio::sync::MutexGuard::mutex`].
    #[inline]
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.lock
    }
}

/// Access to the value of a [`Mutex`] in an [`Arc`]. Mirrors [`tokio::sync::OwnedMutexGuard`].
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    held: Held<'static, Permit<'static, ()>, Exclusive<T>, Arc<Mutex<T>>>,
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    pub(super) fn new(
        held: Held<'static, Permit<'static, ()>, Exclusive<T>, Arc<Mutex<T>>>,
    ) -> Self {
        OwnedMutexGuard { held }
    }

    /// Access to a part of the value. Mirrors [`tokio::sync::OwnedMutexGuard::map`].
    #[inline]
    pub fn map<U, F>(this: Self, f: F) -> OwnedMappedMutexGuard<T, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        OwnedMappedMutexGuard::new(this.held.map(f))
    }

    /// Access to a part of the value, if there is such a part. Mirrors [`tokio::sync::OwnedMutexGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<U, F>(this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, U>, Self>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        this.held
            .try_map(f)
            .map(OwnedMappedMutexGuard::new)
            .map_err(Self::new)
    }

    /// The lock. Mirrors [`tokio::sync::OwnedMutexGuard::mutex`].
    #[inline]
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        this.held.keeper()
    }
}

/// Access to a part of the value of a [`Mutex`]. Mirrors [`tokio::sync::MappedMutexGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    held: Held<'a, Permit<'a, ()>, Exclusive<T>>,
    marker: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    fn new(held: Held<'a, Permit<'a, ()>, Exclusive<T>>) -> Self {
        let marker = PhantomData;
        MappedMutexGuard { held, marker }
    }

    /// Access to a part of the part. Mirrors [`tokio::sync::MappedMutexGuard::map`].
    #[inline]
    pub fn map<U, F>(this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        MappedMutexGuard::new(this.held.map(f))
    }

    /// Access to a part of the part, if there is such. Mirrors [`tokio::sync::MappedMutexGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<U, F>(this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        this.held
            .try_map(f)
            .map(MappedMutexGuard::new)
            .map_err(Self::new)
    }
}

/// Access to a part of the value of a [`Mutex`] in an [`Arc`]. Mirrors [`tokio::sync::OwnedMappedMutexGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    held: Held<'static, Permit<'static, ()>, Exclusive<U>, Arc<Mutex<T>>>,
    // tokio's guard is `Sync` only if the whole value is, too.
    marker: PhantomData<Box<T>>,
}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    fn new(held: Held<'static, Permit<'static, ()>, Exclusive<U>, Arc<Mutex<T>>>) -> Self {
        let marker = PhantomData;
        OwnedMappedMutexGuard { held, marker }
    }

    /// Access to a part of the part. Mirrors [`tokio::sync::OwnedMappedMutexGuard::map`].
    #[inline]
    pub fn map<S, F>(this: Self, f: F) -> OwnedMappedMutexGuard<T, S>
    where
        S: ?Sized,
        F: FnOnce(&mut U) -> &mut S,
    {
        OwnedMappedMutexGuard::new(this.held.map(f))
    }

    /// Access to a part of the part, if there is such. Mirrors [`tokio::sync::OwnedMappedMutexGuard::try_map`].
    ///
    /// # Errors
    /// The guard itself: `f` returned `None`.
    #[inline]
    pub fn try_map<S, F>(this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, S>, Self>
    where
        S: ?Sized,
        F: FnOnce(&mut U) -> Option<&mut S>,
    {
        this.held
            .try_map(f)
            .map(OwnedMappedMutexGuard::new)
            .map_err(Self::new)
    }
}

points_to_its_value!(mut MutexGuard<'_, T>, T, [T: ?Sized]);
points_to_its_value!(mut OwnedMutexGuard<T>, T, [T: ?Sized]);
points_to_its_value!(mut MappedMutexGuard<'_, T>, T, [T: ?Sized]);
points_to_its_value!(mut OwnedMappedMutexGuard<T, U>, U, [T: ?Sized, U: ?Sized]);
