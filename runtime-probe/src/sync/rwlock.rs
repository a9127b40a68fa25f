use super::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use crate::source::locks::Guarded;
use std::fmt;
use std::sync::Arc;
use tokio::sync::RwLock as Gate;

/// An instrumented lock for many readers or one writer: its waiters' time counts at the code that releases it. Mirrors
/// [`tokio::sync::RwLock`], whose documentation applies: fair, so that a waiting writer delays later readers.
///
/// Each reader's release is charged with the time of all waiters since the last release.
///
/// ```
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use runtime_probe::sync::RwLock;
///
/// let lock = RwLock::new(1);
/// *lock.write().await += 1;
/// assert_eq!(*lock.read().await + *lock.read().await, 4);
/// # })
/// ```
pub struct RwLock<T: ?Sized>(Guarded<Gate<()>, T>);

impl<T: ?Sized> RwLock<T> {
    /// An unlocked lock. Mirrors [`tokio::sync::RwLock::new`].
    #[track_caller]
    pub fn new(value: T) -> RwLock<T>
    where
        T: Sized,
    {
        RwLock(Guarded::new(Gate::new(()), value))
    }

    /// An unlocked lock that admits so many readers at once. Mirrors [`tokio::sync::RwLock::with_max_readers`].
    ///
    /// # Panics
    /// For 0, and for more than 2^29 - 1.
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> RwLock<T>
    where
        T: Sized,
    {
        RwLock(Guarded::new(Gate::with_max_readers((), max_reads), value))
    }

    /// An unlocked lock, for statics. Mirrors [`tokio::sync::RwLock::const_new`].
    #[track_caller]
    pub const fn const_new(value: T) -> RwLock<T>
    where
        T: Sized,
    {
        RwLock(Guarded::new(Gate::const_new(()), value))
    }

    /// [`RwLock::with_max_readers`] for statics. Mirrors [`tokio::sync::RwLock::const_with_max_readers`].
    ///
    /// # Panics
    /// For 0, and for more than 2^29 - 1.
    #[track_caller]
    pub const fn const_with_max_readers(value: T, max_reads: u32) -> RwLock<T>
    where
        T: Sized,
    {
        let gate = Gate::const_with_max_readers((), max_reads);
        RwLock(Guarded::new(gate, value))
    }

    /// Waits until it may read. Mirrors [`tokio::sync::RwLock::read`]; cancel safe, but a place in the queue is lost.
    #[inline]
    pub fn read(&self) -> impl Future<Output = RwLockReadGuard<'_, T>> {
        Guarded::read(&self.0, |lock| lock, |held, _| RwLockReadGuard::new(held))
    }

    /// Blocks the thread until it may read. Mirrors [`tokio::sync::RwLock::blocking_read`].
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard::new(self.0.blocking_read())
    }

    /// Waits until it may read, with a guard that owns the lock. Mirrors [`tokio::sync::RwLock::read_owned`].
    pub async fn read_owned(self: Arc<Self>) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard::new(Guarded::read_owned(self, |lock| &lock.0).await)
    }

    /// Reads if no writer has the lock or waits for it. Mirrors [`tokio::sync::RwLock::try_read`].
    ///
    /// # Errors
    /// The lock is held.
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        self.0.try_read().map(RwLockReadGuard::new)
    }

    /// The same with a guard that owns the lock. Mirrors [`tokio::sync::RwLock::try_read_owned`].
    ///
    /// # Errors
    /// The lock is held.
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        Guarded::try_read_owned(self, |lock| &lock.0).map(OwnedRwLockReadGuard::new)
    }

    /// Waits until it may write. Mirrors [`tokio::sync::RwLock::write`]; cancel safe, but a place in the queue is lost.
    #[inline]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        Guarded::write(&self.0, |lock| lock, |held, _| RwLockWriteGuard::new(held))
    }

    /// Blocks the thread until it may write. Mirrors [`tokio::sync::RwLock::blocking_write`].
    ///
    /// # Panics
    /// Inside an asynchronous task.
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard::new(self.0.blocking_write())
    }

    /// Waits until it may write, with a guard that owns the lock. Mirrors [`tokio::sync::RwLock::write_owned`].
    pub async fn write_owned(self: Arc<Self>) -> OwnedRwLockWriteGuard<T> {
        OwnedRwLockWriteGuard::new(Guarded::write_owned(self, |lock| &lock.0).await)
    }

    /// Writes if the lock has no holder. Mirrors [`tokio::sync::RwLock::try_write`].
    ///
    /// # Errors
    /// The lock is held.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        self.0.try_write().map(RwLockWriteGuard::new)
    }

    /// The same with a guard that owns the lock. Mirrors [`tokio::sync::RwLock::try_write_owned`].
    ///
    /// # Errors
    /// The lock is held.
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        Guarded::try_write_owned(self, |lock| &lock.0).map(OwnedRwLockWriteGuard::new)
    }

    /// Needs no lock: there is no other reference. Mirrors [`tokio::sync::RwLock::get_mut`].
    pub fn get_mut(&mut self) -> &mut T {
        self.0.value_mut()
    }

    /// The value. Mirrors [`tokio::sync::RwLock::into_inner`].
    pub fn into_inner(self) -> T
    where
        T: Sized,
    {
        self.0.into_inner()
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// For locks that plain tokio hands out. Their limit of readers is not known: this lock has the highest possible limit.
impl<T> From<Gate<T>> for RwLock<T> {
    #[track_caller]
    fn from(lock: Gate<T>) -> Self {
        Self::new(lock.into_inner())
    }
}

/// For code that takes plain tokio's. The new lock has the highest possible limit of readers.
impl<T> From<RwLock<T>> for Gate<T> {
    #[track_caller]
    fn from(lock: RwLock<T>) -> Self {
        Self::new(lock.into_inner())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}
