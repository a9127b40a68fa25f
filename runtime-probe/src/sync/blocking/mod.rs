//! std's locks, which block their thread and know their waiters here: [`Mutex`], [`RwLock`] and their guards.
//!
//! What waiters wait is charged to the code that releases the lock, as with the locks of [`sync`](super), see
//! [`set_mutex_profile_fraction`](crate::pprof::set_mutex_profile_fraction). Poisoning, results and all else are std's: its
//! lock is inside. A lock without waiters notes what takes it, and costs one load more.
//!
//! ```
//! # mod before {
//! use std::sync::{Mutex, RwLock};
//! # }
//! // becomes
//! use runtime_probe::sync::blocking::{Mutex, RwLock};
//! # let _ = (Mutex::new(()), RwLock::new(()));
//! ```
//!
//! Not here: a `Condvar`, which takes std's own guards, and `RwLockWriteGuard::downgrade`, which std has from Rust 1.92 on. Not
//! for the locks of a global allocator: noting a release may allocate.
//!
//! With the feature `lock_api` there is `Watched`, the same for the locks of parking_lot and whatever else has a raw lock.

mod mutex;
mod rwlock;

#[cfg(feature = "lock_api")]
pub use crate::source::locks::raw::Watched;
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use super::points_to_its_value;

/// What an attempt came to; `None` where it has to be waited.
#[inline(always)]
fn at_once<P>(attempt: TryLockResult<P>) -> Option<LockResult<P>> {
    match attempt {
        Ok(permit) => Some(Ok(permit)),
        Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The result of a wait, made where it is used: a function returns a permit in registers, and a result in memory.
#[inline(always)]
fn or_poisoned<P>(permit: P, is_poisoned: bool) -> LockResult<P> {
    match is_poisoned {
        false => Ok(permit),
        true => Err(PoisonError::new(permit)),
    }
}

/// The same result, poisoned or not, with another guard. `guard` has one call here: it is inlined where the lock is taken.
#[inline(always)]
fn map<P, G>(result: LockResult<P>, guard: impl FnOnce(P) -> G) -> LockResult<G> {
    let (permit, is_poisoned) = match result {
        Ok(permit) => (permit, false),
        Err(poisoned) => (poisoned.into_inner(), true),
    };
    or_poisoned(guard(permit), is_poisoned)
}
