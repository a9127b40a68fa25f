use super::{
    LockResult, PoisonError, TryLockError, TryLockResult, at_once, map, or_poisoned,
    points_to_its_value,
};
use crate::source::locks::Door;
use crate::source::locks::held::Held;
use crate::source::locks::mode::Sole;
use std::fmt;
use std::sync::{Mutex as Gate, MutexGuard as Permit};

/// An instrumented lock: its waiters' time counts at the code that releases it. Mirrors [`std::sync::Mutex`], whose
/// documentation applies.
///
/// ```
/// use runtime_probe::sync::blocking::Mutex;
///
/// static LOCK: Mutex<u32> = Mutex::new(1);
/// *LOCK.lock().unwrap() += 1;
/// assert_eq!(*LOCK.lock().unwrap(), 2);
/// ```
pub struct Mutex<T: ?Sized>(Door<Gate<T>>);

impl<T> Mutex<T> {
    /// An unlocked mutex. Mirrors [`std::sync::Mutex::new`].
    #[inline]
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Mutex(Door::new(Gate::new(value)))
    }

    /// The value. Mirrors [`std::sync::Mutex::into_inner`].
    ///
    /// # Errors
    /// The lock is poisoned; the error has the value.
    pub fn into_inner(self) -> LockResult<T> {
        self.0.into_gate().into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Blocks the thread until it has the lock. Mirrors [`std::sync::Mutex::lock`].
    ///
    /// # Errors
    /// The lock is poisoned; the error has the guard.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let permit = at_once(self.0.gate().try_lock())
            .unwrap_or_else(|| or_poisoned(self.wait(), self.0.gate().is_poisoned()));
        map(permit, |permit| self.guard(permit))
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) -> Permit<'_, T> {
        let permit = self.0.wait::<Sole, _>(Gate::lock, |_| true);
        permit.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if it is free. Mirrors [`std::sync::Mutex::try_lock`].
    ///
    /// # Errors
    /// The lock is held, or it is poisoned; then the error has the guard.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let permit = at_once(self.0.gate().try_lock()).ok_or(TryLockError::WouldBlock)?;
        Ok(map(permit, |permit| self.guard(permit))?)
    }

    /// Whether a thread panicked while holding it. Mirrors [`std::sync::Mutex::is_poisoned`].
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.0.gate().is_poisoned()
    }

    /// Forgets that a thread panicked. Mirrors [`std::sync::Mutex::clear_poison`].
    #[inline]
    pub fn clear_poison(&self) {
        self.0.gate().clear_poison();
    }

    /// Needs no lock: there is no other reference. Mirrors [`std::sync::Mutex::get_mut`].
    ///
    /// # Errors
    /// The lock is poisoned; the error has the reference.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.gate_mut().get_mut()
    }

    #[inline(always)]
    fn guard<'a>(&'a self, permit: Permit<'a, T>) -> MutexGuard<'a, T> {
        let held = self.0.held(permit);
        MutexGuard { held }
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.gate().fmt(f)
    }
}

/// Access to the value of a [`Mutex`]. Mirrors [`std::sync::MutexGuard`].
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    held: Held<'a, (), Permit<'a, T>>,
}

points_to_its_value!(mut MutexGuard<'_, T>, T, [T: ?Sized]);
