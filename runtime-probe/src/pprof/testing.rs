//! Functions for the tests of the probe. May change in any version.

use crate::ask::thread_stack;
use crate::ask::why::CaptureError;
use crate::source;
use crate::stack::{template, unwind};
use std::io;
use std::time::{Duration, Instant};

/// The stack of a thread of this process, by its kernel id (`gettid`): an address in the code of each function,
/// innermost first; each lies past an instruction, as return addresses do. A stack deeper than 256 frames has a gap in
/// the middle. Waits for the thread for at most 100 ms; takes 50 us if the thread sleeps.
///
/// # Errors
/// The thread has ended ([`io::ErrorKind::NotFound`]), blocks the signal, did not answer in time, or no thread can be
/// asked ([`io::ErrorKind::Unsupported`]).
pub fn thread_stack(tid: u32) -> io::Result<Vec<usize>> {
    source::start();
    // Modules may have been loaded since.
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
