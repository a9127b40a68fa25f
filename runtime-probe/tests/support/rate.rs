//! The rates of the block and mutex profiles, for the length of a test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime_probe::pprof;

/// Rates are the process's, so one test at a time; both are off when it ends.
pub struct Rate(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Rate {
    /// Of the block profile.
    pub fn of_waits(ns: i64) -> Rate {
        let alone = Rate::alone();
        pprof::set_block_profile_rate(ns);
        alone
    }

    /// Of the mutex profile.
    pub fn of_locks(fraction: i32) -> Rate {
        let alone = Rate::alone();
        pprof::set_mutex_profile_fraction(fraction);
        alone
    }

    fn alone() -> Rate {
        static ONE: Mutex<()> = Mutex::new(());
        Rate(ONE.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Rate {
    fn drop(&mut self) {
        pprof::set_block_profile_rate(0);
        pprof::set_mutex_profile_fraction(0);
    }
}
