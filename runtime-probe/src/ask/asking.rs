//! How many threads one reader asks for their stacks, and how long it waits for them.

use super::thread_stack::{self, Capture};
use super::why::CaptureError;
use std::time::{Duration, Instant};

/// The most threads that are asked: a blocking pool has 512 unless told otherwise.
const MOST: usize = 1024;

/// How long one has. It takes microseconds, unless the CPUs are in others' hands.
const EACH: Duration = Duration::from_millis(100);

/// What is left of both.
pub(crate) struct Asking {
    until: Instant,
    left: usize,
}

impl Asking {
    /// All threads together have so long.
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
