//! Why a thread was not captured, as text.

use crate::source::signal::Unavailable;
use crate::sys::signal::Signal;
use crate::sys::thread_status::Activity;
use std::fmt;
use std::io;

/// Why a thread was not captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CaptureError {
    /// No thread of this process can be captured.
    Unavailable(Unavailable),
    /// The thread has ended.
    Gone,
    /// The thread blocks the signal.
    Blocked(Signal),
    /// The thread did not run the handler in time; what it was doing.
    Late(Activity),
    /// The time for all threads is used up.
    NoTime,
    /// The system did not send the signal.
    NotSent(io::ErrorKind),
    /// All slots belong to earlier questions whose handlers have not ended.
    NoSlot,
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Unavailable(why) => why.fmt(f),
            CaptureError::Gone => f.write_str("its thread has ended"),
            CaptureError::Blocked(signal) => {
                write!(f, "its thread blocks {signal}, by which it would be asked")
            }
            CaptureError::Late(activity) => {
                write!(f, "its thread did not answer in time, being {activity}")
            }
            CaptureError::NoTime => {
                f.write_str("the time for asking threads was used up by others")
            }
            CaptureError::NotSent(error) => write!(f, "its thread could not be asked: {error}"),
            CaptureError::NoSlot => {
                f.write_str("threads that were asked before have not answered yet")
            }
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("threads cannot be asked by a signal: ")?;
        match self {
            Unavailable::Off => f.write_str("RUNTIME_PROBE_SIGNAL=off is in the environment"),
            Unavailable::Install(error) => error.fmt(f),
            Unavailable::NoNumber => {
                f.write_str("RUNTIME_PROBE_SIGNAL is neither a number nor off")
            }
            Unavailable::Proc(error) => write!(f, "/proc/self/task cannot be read: {error}"),
            Unavailable::Memory => f.write_str("process_vm_readv is forbidden here"),
            Unavailable::Library => f.write_str(
                "the probe is part of a shared library, whose thread-locals a handler may not use",
            ),
            Unavailable::Replaced(signal) => {
                write!(f, "another handler of {signal} replaced ours")
            }
            Unavailable::Bell(error) => error.fmt(f),
        }
    }
}
