//! tokio's `sync`, with instrumented locks: [`Mutex`], [`RwLock`] and their guards, and [`OnceCell`]. Everything else
//! is tokio's.
//!
//! The time that tasks and threads wait for such a lock counts at the code that releases it, see
//! [`set_mutex_profile_fraction`](crate::pprof::set_mutex_profile_fraction). Fairness, cancelling and everything else
//! are tokio's, whose lock is inside. A lock stores its holder, so that a dump shows it to the waiters. While no
//! fraction is set, that store and one load are the whole cost of a lock without waiters.
//!
//! [`blocking`] has the same for locks that block their thread, std's and parking_lot's.

pub mod blocking;
mod mutex;
mod mutex_guards;
mod once_cell;
mod read_guards;
mod rwlock;
#[cfg(feature = "semaphore")]
mod semaphore;
mod write_guards;

pub use mutex::Mutex;
pub use mutex_guards::{MappedMutexGuard, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard};
pub use once_cell::OnceCell;
pub use read_guards::{OwnedRwLockReadGuard, RwLockReadGuard};
pub use rwlock::RwLock;
#[cfg(feature = "semaphore")]
pub use semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use tokio::sync::*;
pub use write_guards::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockWriteGuard, RwLockMappedWriteGuard, RwLockWriteGuard,
};

/// The traits of every guard: it derefs to its value, and is displayed as the value.
macro_rules! points_to_its_value {
    ($guard:ty, $value:ident, [$($parameter:tt)*]) => {
        impl<$($parameter)*> std::ops::Deref for $guard {
            type Target = $value;

            #[inline]
            fn deref(&self) -> &$value {
                &self.held
            }
        }

        impl<$($parameter)*> std::fmt::Debug for $guard
        where
            $value: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&**self, f)
            }
        }

        impl<$($parameter)*> std::fmt::Display for $guard
        where
            $value: std::fmt::Display,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&**self, f)
            }
        }
    };
    (mut $guard:ty, $value:ident, [$($parameter:tt)*]) => {
        points_to_its_value!($guard, $value, [$($parameter)*]);

        impl<$($parameter)*> std::ops::DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $value {
                &mut self.held
            }
        }
    };
}
use points_to_its_value;
