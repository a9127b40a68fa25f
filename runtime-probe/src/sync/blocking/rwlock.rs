use super::{
    LockResult, PoisonError, TryLockError, TryLockResult, at_once, map, or_poisoned,
    points_to_its_value,
};
use crate::source::locks::Door;
use crate::source::locks::held::Held;
use crate::source::locks::mode::{Reader, Sole};
use std::fmt;
use std::sync::{RwLock as Gate, RwLockReadGuard as ReadPermit, RwLockWriteGuard as WritePermit};

/// An instrumented lock for many readers or one writer: its waiters' time counts at the code that releases it. Mirrors
/// [`std::sync::RwLock`], whose documentation applies.
///
/// Each reader's release is charged with the time of all waiters since the last release.
///
/// ```
/// use runtime_probe::sync::blocking::RwLock;
///
/// let lock = RwLock::new(1);
/// *lock.write().unwrap() += 1;
/// assert_eq!(*lock.read().unwrap() + *lock.read().unwrap(), 4);
/// ```
pub struct RwLock<T: ?Sized>(Door<Gate<T>>);

impl<T> RwLock<T> {
    /// An unlocked lock. Mirrors [`std::sync::RwLock::new`].
    #[inline]
    #[track_caller]
    pub const fn new(value: T) -> Self {
        RwLock(Door::new(Gate::new(value)))
    }

    /// The value. Mirrors [`std::sync::RwLock::into_inner`].
    ///
    /// # Errors
    /// The lock is poisoned; the error has the value.
    pub fn into_inner(self) -> LockResult<T> {
        self.0.into_gate().into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Blocks the thread until it may read. Mirrors [`std::sync::RwLock::read`].
    ///
    /// # Errors
    /// The lock is poisoned; the error has the guard.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let permit = at_once(self.0.gate().try_read())
            .unwrap_or_else(|| or_poisoned(self.wait_to_read(), self.0.gate().is_poisoned()));
        map(permit, |permit| self.reader(permit))
    }

    #[cold]
    #[inline(never)]
    fn wait_to_read(&self) -> ReadPermit<'_, T> {
        let permit = self.0.wait::<Reader, _>(Gate::read, |_| true);
        permit.unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads if no writer has the lock or waits for it. Mirrors [`std::sync::RwLock::try_read`].
    ///
    /// # Errors
    /// The lock is held, or it is poisoned; then the error has the guard.
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let permit = at_once(self.0.gate().try_read()).ok_or(TryLockError::WouldBlock)?;
        Ok(map(permit, |permit| self.reader(permit))?)
    }

    /// Blocks the thread until it may write. Mirrors [`std::sync::RwLock::write`].
    ///
    /// # Errors
    /// The lock is poisoned; the error has the guard.
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let permit = at_once(self.0.gate().try_write())
            .unwrap_or_else(|| or_poisoned(self.wait_to_write(), self.0.gate().is_poisoned()));
        map(permit, |permit| self.writer(permit))
    }

    #[cold]
    #[inline(never)]
    fn wait_to_write(&self) -> WritePermit<'_, T> {
        let permit = self.0.wait::<Sole, _>(Gate::write, |_| true);
        permit.unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes if the lock has no holder. Mirrors [`std::sync::RwLock::try_write`].
    ///
    /// # Errors
    /// The lock is held, or it is poisoned; then the error has the guard.
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let permit = at_once(self.0.gate().try_write()).ok_or(TryLockError::WouldBlock)?;
        Ok(map(permit, |permit| self.writer(permit))?)
    }

    /// Whether a thread panicked while writing. Mirrors [`std::sync::RwLock::is_poisoned`].
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.0.gate().is_poisoned()
    }

    /// Forgets that a thread panicked. Mirrors [`std::sync::RwLock::clear_poison`].
    #[inline]
    pub fn clear_poison(&self) {
        self.0.gate().clear_poison();
    }

    /// Needs no lock: there is no other reference. Mirrors [`std::sync::RwLock::get_mut`].
    ///
    /// # Errors
    /// The lock is poisoned; the error has the reference.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.gate_mut().get_mut()
    }

    #[inline(always)]
    fn reader<'a>(&'a self, permit: ReadPermit<'a, T>) -> RwLockReadGuard<'a, T> {
        let held = self.0.held(permit);
        RwLockReadGuard { held }
    }

    #[inline(always)]
    fn writer<'a>(&'a self, permit: WritePermit<'a, T>) -> RwLockWriteGuard<'a, T> {
        let held = self.0.held(permit);
        RwLockWriteGuard { held }
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

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.gate().fmt(f)
    }
}

/// Read access to the value of an [`RwLock`]. Mirrors [`std::sync::RwLockReadGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    held: Held<'a, (), ReadPermit<'a, T>>,
}

/// Write access to the value of an [`RwLock`]. Mirrors [`std::sync::RwLockWriteGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    held: Held<'a, (), WritePermit<'a, T>>,
}

points_to_its_value!(RwLockReadGuard<'_, T>, T, [T: ?Sized]);
points_to_its_value!(mut RwLockWriteGuard<'_, T>, T, [T: ?Sized]);
