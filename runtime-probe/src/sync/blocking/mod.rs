//! std's locks, which block their thread, instrumented: [`Mutex`], [`RwLock`] and their guards.
//!
//! The time of waiters counts at the code that releases the lock, as with the locks of [`sync`](super), see
//! [`set_mutex_profile_fraction`](crate::pprof::set_mutex_profile_fraction). Poisoning, results and everything else are
//! std's, whose lock is inside. A lock without waiters stores its holder, and costs one load more. In an execution
//! trace, a thread that waits for one of these locks is in a region `thread blocked by a lock`.
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
//! Missing are `Condvar`, which needs std's own guards, and `RwLockWriteGuard::downgrade`, which std has from Rust 1.92
//! on. These locks must not be used inside of a global allocator, because recording a release may allocate.
//!
//! With the feature `lock_api` there is `Watched`, for the locks of parking_lot and other raw locks.

mod mutex;
mod rwlock;

#[cfg(feature = "lock_api")]
pub use crate::source::locks::raw::Watched;
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

use super::points_to_its_value;

/// The result of an attempt; `None` if the lock is held.
#[inline(always)]
fn at_once<P>(attempt: TryLockResult<P>) -> Option<LockResult<P>> {
    match attempt {
        Ok(permit) => Some(Ok(permit)),
        Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The result of a wait. Made by the caller of the wait: a function returns a permit in registers, but a result in
/// memory.
#[inline(always)]
fn or_poisoned<P>(permit: P, is_poisoned: bool) -> LockResult<P> {
    match is_poisoned {
        false => Ok(permit),
        true => Err(PoisonError::new(permit)),
    }
}

/// The same result, poisoned or not, with another guard. `guard` is called at one place, so that it is inlined.
#[inline(always)]
fn map<P, G>(result: LockResult<P>, guard: impl FnOnce(P) -> G) -> LockResult<G> {
    let (permit, is_poisoned) = match result {
        Ok(permit) => (permit, false),
        Err(poisoned) => (poisoned.into_inner(), true),
    };
    or_poisoned(guard(permit), is_poisoned)
}
