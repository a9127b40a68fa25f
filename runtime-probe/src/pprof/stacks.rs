//! By which signal threads are asked for their stacks, and what capturing the stacks of tasks did.

use crate::source;
use crate::source::signal::Unavailable;
use crate::stack::{raw, template};
use crate::sys::signal::InstallError;
use std::io;
use std::sync::atomic::Ordering;

/// Asks threads for their stacks by this signal from now on, which must be one without a handler. Without this, and without
/// `RUNTIME_PROBE_SIGNAL`, it is the last real-time signal that had no handler when the probe was started. A handler that is
/// installed for it later takes running tasks' stacks out of dumps, which say so.
///
/// A dump sends it to each thread that runs a task. Its handler takes some microseconds and no lock, allocates nothing, and is
/// installed with `SA_RESTART`: interrupted system calls go on, except those that Linux never restarts (`epoll_wait`,
/// `poll`, `nanosleep`), which std and tokio call again. C code that takes `EINTR` for an error may not.
///
/// # Errors
/// What is in the way: [`io::ErrorKind::AddrInUse`] where the signal is taken, [`io::ErrorKind::InvalidInput`] where
/// there is none of that number, [`io::ErrorKind::Unsupported`] where threads cannot be asked at all.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// runtime_probe::pprof::set_stack_signal(42)?;
/// # }
/// # Ok(()) }
/// ```
pub fn set_stack_signal(number: i32) -> io::Result<()> {
    // It chooses one of its own when it starts.
    source::start();
    source::signal::choose(number).map_err(|why| {
        let kind = match why {
            Unavailable::Install(InstallError::Taken(_)) => io::ErrorKind::AddrInUse,
            Unavailable::Install(InstallError::Refused(_)) => io::ErrorKind::InvalidInput,
            Unavailable::Install(InstallError::Forbidden(kind)) => kind,
            _ => io::ErrorKind::Unsupported,
        };
        io::Error::new(kind, why.to_string())
    })
}

/// What the capturing of stacks did since the start, over all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureCounters {
    /// Captures that had to walk the stack; all others found a known path.
    pub walks: u64,
    /// Known paths that a thread forgot for newer ones.
    pub evictions: u64,
    /// Captures left out because the same thread was in the middle of another.
    pub reentered: u64,
    /// Captures left out because a table was full.
    pub overflowed: u64,
    /// Known paths compared with a full walk, which only tests of the probe do.
    pub verified: u64,
    /// Of these, the ones that differed. Anything but 0 is a defect.
    pub wrong: u64,
    /// Distinct stacks.
    pub stacks: u64,
}

/// Reads the counters.
pub fn capture_counters() -> CaptureCounters {
    let counters = &template::COUNTERS;
    let (stacks, _, overflowed) = raw::table_sizes();
    CaptureCounters {
        walks: counters.walks.load(Ordering::Relaxed),
        evictions: counters.evictions.load(Ordering::Relaxed),
        reentered: counters.reentered.load(Ordering::Relaxed),
        overflowed,
        verified: counters.verified.load(Ordering::Relaxed),
        wrong: counters.wrong.load(Ordering::Relaxed),
        stacks: stacks as u64,
    }
}
