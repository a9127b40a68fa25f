//! How many dumps may be under way at once.

use super::refusal::Refusal;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Dumps that may be under way at once: each holds 64 bytes a task, so 4 of a million tasks hold 256 MB.
const MOST_AT_ONCE: usize = 4;

/// How long a dump waits for its turn. Others take milliseconds; only readers that are slow take longer, and a client that
/// has waited for the end of its span should not lose it to a moment's crowd.
const PATIENCE: Duration = Duration::from_secs(2);

static UNDER_WAY: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// Counts a dump for as long as it lives.
pub(super) struct Turn;

impl Turn {
    /// Waits for a place.
    pub(super) fn take() -> Result<Turn, Refusal> {
        let under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut under_way, _) = ENDED
            .wait_timeout_while(under_way, PATIENCE, |count| *count >= MOST_AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        if *under_way >= MOST_AT_ONCE {
            return Err(Refusal::new(
                503,
                "too many dumps at once: four are being written, try again",
            ));
        }
        *under_way += 1;
        Ok(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
