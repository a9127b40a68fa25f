use super::{AcquireError, TryAcquireError};
use crate::source::locks::permits::{Guard, Permits, Taken};
use std::fmt;
use std::sync::Arc;

/// A semaphore that knows the holders of its permits. Mirrors [`tokio::sync::Semaphore`], whose documentation applies.
/// It is fair: tokio's own semaphore decides the order.
///
/// Only with the feature `semaphore`, which `runtime-dump patch` switches on. Without the feature this is tokio's own
/// type, because crates that do not know the probe take that one, such as `tokio_util::sync::PollSemaphore`.
///
/// ```
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use runtime_probe::sync::Semaphore;
///
/// let semaphore = Semaphore::new(2);
/// let permit = semaphore.acquire().await.unwrap();
/// assert_eq!(semaphore.available_permits(), 1);
/// # drop(permit);
/// # })
/// ```
pub struct Semaphore(Permits);

impl Semaphore {
    /// The most permits of a semaphore. Mirrors [`tokio::sync::Semaphore::MAX_PERMITS`].
    pub const MAX_PERMITS: usize = tokio::sync::Semaphore::MAX_PERMITS;

    /// Mirrors [`tokio::sync::Semaphore::new`].
    ///
    /// # Panics
    /// If there are more than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Semaphore(Permits::new(tokio::sync::Semaphore::new(permits), permits))
    }

    /// For statics. Mirrors [`tokio::sync::Semaphore::const_new`].
    #[track_caller]
    pub const fn const_new(permits: usize) -> Self {
        Semaphore(Permits::new(
            tokio::sync::Semaphore::const_new(permits),
            permits,
        ))
    }

    /// The number of free permits. Mirrors [`tokio::sync::Semaphore::available_permits`].
    pub fn available_permits(&self) -> usize {
        self.0.gate().available_permits()
    }

    /// Adds permits. Mirrors [`tokio::sync::Semaphore::add_permits`].
    ///
    /// # Panics
    /// If there are more than [`Semaphore::MAX_PERMITS`] then.
    pub fn add_permits(&self, n: usize) {
        self.0.add(n);
    }

    /// Removes up to `n` free permits; returns how many were removed. Mirrors
    /// [`tokio::sync::Semaphore::forget_permits`].
    pub fn forget_permits(&self, n: usize) -> usize {
        self.0.forget_free(n)
    }

    /// Waits for a permit. Mirrors [`tokio::sync::Semaphore::acquire`]; cancel safe, but a cancelled wait loses its
    /// place in the queue.
    ///
    /// # Errors
    /// The semaphore is closed.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for `n` permits. Mirrors [`tokio::sync::Semaphore::acquire_many`].
    ///
    /// # Errors
    /// The semaphore is closed.
    pub async fn acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let taken = self.0.acquire(n, Guard::Borrows).await?;
        Ok(SemaphorePermit { sem: self, taken })
    }

    /// A permit, if one is free. Mirrors [`tokio::sync::Semaphore::try_acquire`].
    ///
    /// # Errors
    /// None is free, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// `n` permits, if as many are free. Mirrors [`tokio::sync::Semaphore::try_acquire_many`].
    ///
    /// # Errors
    /// Too few are free, or the semaphore is closed.
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let taken = self.0.try_acquire(n, Guard::Borrows)?;
        Ok(SemaphorePermit { sem: self, taken })
    }

    /// Blocks the thread until it has a permit. Mirrors [`tokio::sync::Semaphore::blocking_acquire`].
    ///
    /// # Errors
    /// The semaphore is closed.
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.blocking_acquire_many(1)
    }

    /// Blocks the thread until it has `n` permits. Mirrors [`tokio::sync::Semaphore::blocking_acquire_many`].
    ///
    /// # Errors
    /// The semaphore is closed.
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let taken = self.0.blocking_acquire(n, Guard::Borrows)?;
        Ok(SemaphorePermit { sem: self, taken })
    }

    /// As [`Semaphore::blocking_acquire`], with a guard that owns the semaphore. Mirrors
    /// [`tokio::sync::Semaphore::blocking_acquire_owned`].
    ///
    /// # Errors
    /// The semaphore is closed.
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.blocking_acquire_many_owned(1)
    }

    /// As [`Semaphore::blocking_acquire_many`], with a guard that owns the semaphore. Mirrors
    /// [`tokio::sync::Semaphore::blocking_acquire_many_owned`].
    ///
    /// # Errors
    /// The semaphore is closed.
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let taken = self.0.blocking_acquire(n, Guard::Owns)?;
        Ok(OwnedSemaphorePermit { sem: self, taken })
    }
    /// As [`Semaphore::acquire`], with a guard that owns the semaphore. Mirrors
    /// [`tokio::sync::Semaphore::acquire_owned`].
    ///
    /// # Errors
    /// The semaphore is closed.
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// As [`Semaphore::acquire_many`], with a guard that owns the semaphore. Mirrors
    /// [`tokio::sync::Semaphore::acquire_many_owned`].
    ///
    /// # Errors
    /// The semaphore is closed.
    pub async fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let taken = self.0.acquire(n, Guard::Owns).await?;
        Ok(OwnedSemaphorePermit { sem: self, taken })
    }

    /// As [`Semaphore::try_acquire`], with a guard that owns the semaphore. Mirrors
    /// [`tokio::sync::Semaphore::try_acquire_owned`].
    ///
    /// # Errors
    /// None is free, or the semaphore is closed.
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`Semaphore::try_acquire_many`], with a guard that owns the semaphore. Mirrors
    /// [`tokio::sync::Semaphore::try_acquire_many_owned`].
    ///
    /// # Errors
    /// Too few are free, or the semaphore is closed.
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let taken = self.0.try_acquire(n, Guard::Owns)?;
        Ok(OwnedSemaphorePermit { sem: self, taken })
    }

    /// Closes the semaphore: no permits are given out any more. Mirrors [`tokio::sync::Semaphore::close`].
    pub fn close(&self) {
        self.0.gate().close();
    }

    /// Mirrors [`tokio::sync::Semaphore::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.0.gate().is_closed()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.gate().fmt(f)
    }
}

/// Permits of a [`Semaphore`]. Mirrors [`tokio::sync::SemaphorePermit`].
#[must_use]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct SemaphorePermit<'a> {
    sem: &'a Semaphore,
    taken: Taken,
}

impl<'a> SemaphorePermit<'a> {
    /// Drops the guard, but does not give its permits back. Mirrors [`tokio::sync::SemaphorePermit::forget`].
    pub fn forget(mut self) {
        self.sem.0.forget(&mut self.taken);
    }

    /// Takes over the permits of another guard. Mirrors [`tokio::sync::SemaphorePermit::merge`].
    ///
    /// # Panics
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.sem, other.sem),
            "merging permits from different semaphore instances"
        );
        self.taken.merge(&mut other.taken);
    }

    /// Moves `n` of its permits to a new guard, if it has as many. Mirrors [`tokio::sync::SemaphorePermit::split`].
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let taken = self.taken.split(&self.sem.0, n, Guard::Borrows)?;
        Some(SemaphorePermit {
            sem: self.sem,
            taken,
        })
    }

    /// Mirrors [`tokio::sync::SemaphorePermit::semaphore`].
    pub fn semaphore(&self) -> &Semaphore {
        self.sem
    }

    /// The number of its permits. Mirrors [`tokio::sync::SemaphorePermit::num_permits`].
    pub fn num_permits(&self) -> usize {
        self.taken.count()
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.sem.0.give(&mut self.taken);
    }
}

/// Permits of a [`Semaphore`] in an [`Arc`]. Mirrors [`tokio::sync::OwnedSemaphorePermit`].
#[must_use]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct OwnedSemaphorePermit {
    sem: Arc<Semaphore>,
    taken: Taken,
}

impl OwnedSemaphorePermit {
    /// Drops the guard, but does not give its permits back. Mirrors [`tokio::sync::OwnedSemaphorePermit::forget`].
    pub fn forget(mut self) {
        self.sem.0.forget(&mut self.taken);
    }

    /// Takes over the permits of another guard. Mirrors [`tokio::sync::OwnedSemaphorePermit::merge`].
    ///
    /// # Panics
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Arc::ptr_eq(&self.sem, &other.sem),
            "merging permits from different semaphore instances"
        );
        self.taken.merge(&mut other.taken);
    }

    /// Moves `n` of its permits to a new guard, if it has as many. Mirrors
    /// [`tokio::sync::OwnedSemaphorePermit::split`].
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let taken = self.taken.split(&self.sem.0, n, Guard::Owns)?;
        Some(OwnedSemaphorePermit {
            sem: self.sem.clone(),
            taken,
        })
    }

    /// Mirrors [`tokio::sync::OwnedSemaphorePermit::semaphore`].
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.sem
    }

    /// The number of its permits. Mirrors [`tokio::sync::OwnedSemaphorePermit::num_permits`].
    pub fn num_permits(&self) -> usize {
        self.taken.count()
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.sem.0.give(&mut self.taken);
    }
}
