//! Locks of `lock_api`, such as parking_lot's. A raw lock has no guards; a release is a call.
//!
//! Upgrading, timed and recursive waits are waits for the same lock, and are charged in the same way.
//!
//! SAFETY, for all code here: each call is passed on to `R`, the unsafe ones under the caller's contract.

#![expect(unsafe_code, reason = "the traits are unsafe")]
#![expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all")]

use super::Door;
use super::mode::{Mode, Reader, Sole};
use lock_api::{
    RawMutex, RawMutexFair, RawMutexTimed, RawRwLock, RawRwLockDowngrade, RawRwLockFair,
    RawRwLockRecursive, RawRwLockTimed, RawRwLockUpgrade, RawRwLockUpgradeDowngrade,
};

/// A raw lock of `lock_api` that counts its waiters' time at the code that releases it. It implements all traits that
/// `R` implements.
///
/// ```
/// use runtime_probe::sync::blocking::Watched;
///
/// type Mutex<T> = lock_api::Mutex<Watched<parking_lot::RawMutex>, T>;
/// type RwLock<T> = lock_api::RwLock<Watched<parking_lot::RawRwLock>, T>;
///
/// static LOCK: Mutex<u32> = Mutex::new(1);
/// *LOCK.lock() += 1;
/// assert_eq!(*RwLock::new(2).read(), *LOCK.lock());
/// ```
pub struct Watched<R>(Door<R>);

impl<R> Watched<R> {
    /// Takes the lock by `attempt`, or else blocks the thread.
    #[inline(always)]
    fn enter<M: Mode>(&self, attempt: impl FnOnce(&R) -> bool, block: impl FnOnce(&R)) {
        if !attempt(self.0.gate()) {
            self.0.wait::<M, _>(block, |()| true);
        }
        self.0.waiters.taken::<M>();
    }

    /// The same, for a wait that may give up.
    #[inline(always)]
    fn try_enter<M: Mode>(
        &self,
        attempt: impl FnOnce(&R) -> bool,
        block: impl FnOnce(&R) -> bool,
    ) -> bool {
        let is_in = attempt(self.0.gate()) || self.0.wait::<M, _>(block, |is_in| *is_in);
        self.taken_if::<M>(is_in)
    }

    /// The result of `attempt`, without a wait.
    #[inline(always)]
    fn attempt<M: Mode>(&self, attempt: impl FnOnce(&R) -> bool) -> bool {
        self.taken_if::<M>(attempt(self.0.gate()))
    }

    #[inline(always)]
    fn taken_if<M: Mode>(&self, is_in: bool) -> bool {
        if is_in {
            self.0.waiters.taken::<M>();
        }
        is_in
    }

    /// The raw lock, for a release. The waits are charged first.
    #[inline(always)]
    fn released<M: Mode>(&self) -> &R {
        self.0.waiters.released::<M>();
        self.0.gate()
    }
}

unsafe impl<R: RawMutex> RawMutex for Watched<R> {
    const INIT: Self = Watched(Door::constant(R::INIT));
    type GuardMarker = R::GuardMarker;

    #[inline]
    fn lock(&self) {
        self.enter::<Sole>(R::try_lock, R::lock);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.attempt::<Sole>(R::try_lock)
    }

    #[inline]
    unsafe fn unlock(&self) {
        unsafe { self.released::<Sole>().unlock() }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.gate().is_locked()
    }
}

unsafe impl<R: RawMutexFair> RawMutexFair for Watched<R> {
    #[inline]
    unsafe fn unlock_fair(&self) {
        unsafe { self.released::<Sole>().unlock_fair() }
    }
}

unsafe impl<R: RawMutexTimed> RawMutexTimed for Watched<R> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[inline]
    fn try_lock_for(&self, timeout: R::Duration) -> bool {
        self.try_enter::<Sole>(R::try_lock, |raw| raw.try_lock_for(timeout))
    }

    #[inline]
    fn try_lock_until(&self, timeout: R::Instant) -> bool {
        self.try_enter::<Sole>(R::try_lock, |raw| raw.try_lock_until(timeout))
    }
}

unsafe impl<R: RawRwLock> RawRwLock for Watched<R> {
    const INIT: Self = Watched(Door::constant(R::INIT));
    type GuardMarker = R::GuardMarker;

    #[inline]
    fn lock_shared(&self) {
        self.enter::<Reader>(R::try_lock_shared, R::lock_shared);
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.attempt::<Reader>(R::try_lock_shared)
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        unsafe { self.released::<Reader>().unlock_shared() }
    }

    #[inline]
    fn lock_exclusive(&self) {
        self.enter::<Sole>(R::try_lock_exclusive, R::lock_exclusive);
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.attempt::<Sole>(R::try_lock_exclusive)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        unsafe { self.released::<Sole>().unlock_exclusive() }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.gate().is_locked()
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.0.gate().is_locked_exclusive()
    }
}

unsafe impl<R: RawRwLockFair> RawRwLockFair for Watched<R> {
    #[inline]
    unsafe fn unlock_shared_fair(&self) {
        unsafe { self.released::<Reader>().unlock_shared_fair() }
    }

    #[inline]
    unsafe fn unlock_exclusive_fair(&self) {
        unsafe { self.released::<Sole>().unlock_exclusive_fair() }
    }
}

unsafe impl<R: RawRwLockTimed> RawRwLockTimed for Watched<R> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[inline]
    fn try_lock_shared_for(&self, timeout: R::Duration) -> bool {
        self.try_enter::<Reader>(R::try_lock_shared, |raw| raw.try_lock_shared_for(timeout))
    }

    #[inline]
    fn try_lock_shared_until(&self, timeout: R::Instant) -> bool {
        self.try_enter::<Reader>(R::try_lock_shared, |raw| raw.try_lock_shared_until(timeout))
    }

    #[inline]
    fn try_lock_exclusive_for(&self, timeout: R::Duration) -> bool {
        self.try_enter::<Sole>(R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_for(timeout)
        })
    }

    #[inline]
    fn try_lock_exclusive_until(&self, timeout: R::Instant) -> bool {
        self.try_enter::<Sole>(R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_until(timeout)
        })
    }
}

unsafe impl<R: RawRwLockRecursive> RawRwLockRecursive for Watched<R> {
    #[inline]
    fn lock_shared_recursive(&self) {
        self.enter::<Reader>(R::try_lock_shared_recursive, R::lock_shared_recursive);
    }

    #[inline]
    fn try_lock_shared_recursive(&self) -> bool {
        self.attempt::<Reader>(R::try_lock_shared_recursive)
    }
}

unsafe impl<R: RawRwLockDowngrade> RawRwLockDowngrade for Watched<R> {
    #[inline]
    unsafe fn downgrade(&self) {
        unsafe { self.released::<Sole>().downgrade() }
        self.0.waiters.taken::<Reader>();
    }
}

unsafe impl<R: RawRwLockUpgrade> RawRwLockUpgrade for Watched<R> {
    #[inline]
    fn lock_upgradable(&self) {
        self.enter::<Reader>(R::try_lock_upgradable, R::lock_upgradable);
    }

    #[inline]
    fn try_lock_upgradable(&self) -> bool {
        self.attempt::<Reader>(R::try_lock_upgradable)
    }

    #[inline]
    unsafe fn unlock_upgradable(&self) {
        unsafe { self.released::<Reader>().unlock_upgradable() }
    }

    #[inline]
    unsafe fn upgrade(&self) {
        self.enter::<Sole>(
            |raw| unsafe { raw.try_upgrade() },
            |raw| unsafe { raw.upgrade() },
        );
    }

    #[inline]
    unsafe fn try_upgrade(&self) -> bool {
        self.attempt::<Sole>(|raw| unsafe { raw.try_upgrade() })
    }
}

unsafe impl<R: RawRwLockUpgradeDowngrade> RawRwLockUpgradeDowngrade for Watched<R> {
    #[inline]
    unsafe fn downgrade_upgradable(&self) {
        unsafe { self.released::<Reader>().downgrade_upgradable() }
    }

    #[inline]
    unsafe fn downgrade_to_upgradable(&self) {
        unsafe { self.released::<Sole>().downgrade_to_upgradable() }
        self.0.waiters.taken::<Reader>();
    }
}
