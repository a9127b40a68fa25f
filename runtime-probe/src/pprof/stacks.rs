//! The signal that asks threads for their stacks, and the counters of stack capture.

use crate::source;
use crate::source::signal::Unavailable;
use crate::stack::{template, wait_set};
use crate::sys::signal::InstallError;
use std::io;
use std::sync::atomic::Ordering;

/// Sets the signal that asks threads for their stacks. It must have no handler. The default, without
/// `RUNTIME_PROBE_SIGNAL`, is the last real-time signal that had no handler when the probe was started. If the program
/// installs a handler for it later, dumps have no stacks of running tasks any more, and say so.
///
/// A dump sends the signal to each thread that runs a task. The handler takes some microseconds, takes no lock and
/// allocates nothing. It is installed with `SA_RESTART`: interrupted system calls are restarted, except those that
/// Linux never restarts (`epoll_wait`, `poll`, `nanosleep`, and `read` of a socket with a time limit). std and tokio
/// call the first three again; C code may take `EINTR` for an error.
///
/// A task that reads a blocking socket with `set_read_timeout` in its poll gets `ErrorKind::Interrupted` from `read`.
/// `read_exact`, `BufRead` and others call `read` again, with the whole limit anew: dumps at shorter intervals than the
/// limit put it off.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] if the signal has a handler, [`io::ErrorKind::InvalidInput`] if there is no signal of
/// that number, [`io::ErrorKind::Unsupported`] if threads cannot be asked at all.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// runtime_probe::pprof::set_stack_signal(42)?;
/// # }
/// # Ok(()) }
/// ```
pub fn set_stack_signal(number: i32) -> io::Result<()> {
    // The start chooses the default signal.
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

/// Counters of stack capture since the start, over all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureCounters {
    /// Captures that walked the stack. All other captures found a known path.
    pub walks: u64,
    /// Known paths that a thread replaced by newer ones.
    pub evictions: u64,
    /// Captures left out because the thread was inside another capture.
    pub reentered: u64,
    /// Captures left out because a table was full.
    pub overflowed: u64,
    /// Known paths compared with a full walk, which only tests of the probe do.
    pub verified: u64,
    /// Verified paths that differed from the walk. Any number but 0 is a defect of the probe.
    pub wrong: u64,
    /// Distinct stacks.
    pub stacks: u64,
}

/// Reads the counters.
pub fn capture_counters() -> CaptureCounters {
    let counters = &template::COUNTERS;
    let (stacks, _, overflowed) = wait_set::table_sizes();
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
