//! What the tests of the probe need beside its API. May change in any version.

use crate::ask::thread_stack;
use crate::ask::why::CaptureError;
use crate::source;
use crate::stack::{template, unwind};
use std::io;
use std::time::{Duration, Instant};

/// The stack of a thread of this process, by its kernel id (`gettid`): one address in the code of each function, innermost
/// first, each one past an instruction as return addresses are. Of a stack deeper than 256 frames both halves. Waits for the
/// thread for 100 ms at the most; takes 50 us if it sleeps.
///
/// # Errors
/// Why there is none: the thread has ended ([`io::ErrorKind::NotFound`]), blocks the signal, did not answer in time, or no
/// thread can be asked ([`io::ErrorKind::Unsupported`]).
pub fn thread_stack(tid: u32) -> io::Result<Vec<usize>> {
    source::start();
    // A module that was loaded since has unwind tables of its own.
    unwind::refresh();
    let deadline = Instant::now() + Duration::from_millis(100);
    match thread_stack::capture(tid, deadline) {
        Ok(capture) => Ok(capture.frames.iter().map(|frame| frame.pc).collect()),
        Err(error) => {
            let kind = match error {
                CaptureError::Gone => io::ErrorKind::NotFound,
                CaptureError::Unavailable(_) => io::ErrorKind::Unsupported,
                CaptureError::Late(_) | CaptureError::NoTime => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::Other,
            };
            Err(io::Error::new(kind, error.to_string()))
        }
    }
}

/// Compares every known path with a full walk from now on: about a microsecond a wait.
pub fn set_capture_verification(on: bool) {
    template::set_verify(on);
}
