//! The fraction of the mutex profile, for the length of a test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime_probe::pprof;

/// The fraction is the process's, so one test at a time; off when the test ends.
pub struct Fraction(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Fraction {
    pub fn set(n: i32) -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        pprof::set_mutex_profile_fraction(n);
        Fraction(one)
    }
}

impl Drop for Fraction {
    fn drop(&mut self) {
        pprof::set_mutex_profile_fraction(0);
    }
}
