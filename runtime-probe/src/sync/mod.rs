//! tokio's `sync`, with locks that know who waits for them: [`Mutex`], [`RwLock`] and their guards; and [`OnceCell`],
//! which knows what makes its value. All else is tokio's.
//!
//! What tasks and threads wait for such a lock is charged to the code that releases it, see
//! [`set_mutex_profile_fraction`](crate::pprof::set_mutex_profile_fraction). Fairness, cancelling and everything else
//! are tokio's: its lock decides. A lock notes what takes it, so that a dump tells a waiter who has it. While no fraction is
//! set, that and one load are all that a lock without waiters costs.
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

/// What every guard is: a pointer to its value, shown as the value.
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
