use super::{MutexGuard, OwnedMutexGuard, TryLockError};
use crate::source::locks::Guarded;
use std::fmt;
use std::sync::Arc;

/// An instrumented lock: its waiters' time counts at the code that releases it. Mirrors [`tokio::sync::Mutex`], whose
/// documentation applies: fair, first come first served, never poisoned.
///
/// ```
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use runtime_probe::sync::Mutex;
///
/// let lock = Mutex::new(1);
/// *lock.lock().await += 1;
/// assert_eq!(lock.into_inner(), 2);
/// # })
/// ```
pub struct Mutex<T: ?Sized>(Guarded<tokio::sync::Mutex<()>, T>);

impl<T: ?Sized> Mutex<T> {
    /// An unlocked mutex. Mirrors [`tokio::sync::Mutex::new`].
    #[track_caller]
    pub fn new(t: T) -> Self
    where
        T: Sized,
    {
        Mutex(Guarded::new(tokio::sync::Mutex::new(()), t))
    }

    /// An unlocked mutex, for statics. Mirrors [`tokio::sync::Mutex::const_new`].
    #[track_caller]
    pub const fn const_new(t: T) -> Self
    where
        T: Sized,
    {
        Mutex(Guarded::new(tokio::sync::Mutex::const_new(()), t))
    }

    /// Waits for the lock. Mirrors [`tokio::sync::Mutex::lock`]; cancel safe, but a place in the queue is lost.
    #[inline]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        Guarded::lock(self, |lock| &lock.0, MutexGuard::new)
    }

    /// Blocks the thread until it has the lock. Mirrors [`tokio::sync::Mutex::blocking_lock`].
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        MutexGuard::new(self.0.blocking_lock(), self)
    }

    /// The same with a guard that owns the lock. Mirrors [`tokio::sync::Mutex::blocking_lock_owned`].
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        OwnedMutexGuard::new(Guarded::blocking_lock_owned(self, |lock| &lock.0))
    }

    /// Waits for the lock, with a guard that owns the lock. Mirrors [`tokio::sync::Mutex::lock_owned`].
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        OwnedMutexGuard::new(Guarded::lock_owned(self, |lock| &lock.0).await)
    }

    /// Takes the lock if it is free. Mirrors [`tokio::sync::Mutex::try_lock`].
    ///
    /// # Errors
    /// The lock is held.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        Ok(MutexGuard::new(self.0.try_lock()?, self))
    }

    /// Needs no lock: there is no other reference. Mirrors [`tokio::sync::Mutex::get_mut`].
    pub fn get_mut(&mut self) -> &mut T {
        self.0.value_mut()
    }

    /// Takes the lock if it is free, with a guard that owns it. Mirrors [`tokio::sync::Mutex::try_lock_owned`].
    ///
    /// # Errors
    /// The lock is held.
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        Guarded::try_lock_owned(self, |lock| &lock.0).map(OwnedMutexGuard::new)
    }

    /// The value. Mirrors [`tokio::sync::Mutex::into_inner`].
    pub fn into_inner(self) -> T
    where
        T: Sized,
    {
        self.0.into_inner()
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(t: T) -> Self {
        Self::new(t)
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Converts a lock of plain tokio.
impl<T> From<tokio::sync::Mutex<T>> for Mutex<T> {
    #[track_caller]
    fn from(lock: tokio::sync::Mutex<T>) -> Self {
        Self::new(lock.into_inner())
    }
}

/// Converts to a lock of plain tokio.
impl<T> From<Mutex<T>> for tokio::sync::Mutex<T> {
    #[track_caller]
    fn from(lock: Mutex<T>) -> Self {
        Self::new(lock.into_inner())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}
