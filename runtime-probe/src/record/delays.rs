//! How long each task was ready and not polled, in all, for as long as somebody wants to know.
//!
//! The sums are kept where all else of a task is. Always, they would cost each poll a reading of the clock: a thread stamps the
//! end of a poll only, and the next poll on it begins then, unless the thread slept between them.

use super::contention::{self, Switch};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many want to know. Held by who begins or ends to.
static SUMMING: Mutex<usize> = Mutex::new(0);

fn summing() -> MutexGuard<'static, usize> {
    SUMMING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Delays are summed up until this, and all others of it, are dropped.
#[derive(Debug)]
#[must_use = "nothing is summed up after this is dropped"]
pub(crate) struct Summing(());

impl Summing {
    pub(crate) fn begin() -> Summing {
        let mut summing = summing();
        *summing += 1;
        contention::set(Switch::DelaysSummed, true);
        Summing(())
    }
}

impl Drop for Summing {
    fn drop(&mut self) {
        let mut summing = summing();
        *summing -= 1;
        contention::set(Switch::DelaysSummed, *summing > 0);
    }
}
