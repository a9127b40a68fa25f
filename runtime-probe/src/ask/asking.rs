//! How many threads one reader asks for their stacks, and how long it waits for them.

use super::thread_stack::{self, Capture};
use super::why::CaptureError;
use std::time::{Duration, Instant};

/// The most threads that are asked. A blocking pool has 512 by default.
const MOST: usize = 1024;

/// The time limit of one thread. An answer takes microseconds, unless other processes use the CPUs.
const EACH: Duration = Duration::from_millis(100);

/// The time and the number of threads that are left.
pub(crate) struct Asking {
    until: Instant,
    left: usize,
}

impl Asking {
    /// A limit for all threads together.
    pub(crate) fn within(all: Duration) -> Asking {
        Asking {
            until: Instant::now() + all,
            left: MOST,
        }
    }

    /// The stack of a thread, by the kernel's id.
    pub(crate) fn capture(&mut self, tid: u32) -> Result<Capture, CaptureError> {
        self.left = self.left.checked_sub(1).ok_or(CaptureError::NoTime)?;
        thread_stack::capture(tid, self.until.min(Instant::now() + EACH))
    }
}
