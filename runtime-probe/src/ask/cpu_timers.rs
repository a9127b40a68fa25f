//! Gives each thread of the process a timer on its CPU time. The handler of the timer's signal is in `source::cpu`.

use crate::source::cpu::{self, Armed, Sample, Trouble};
use crate::source::signal::{self, Unavailable};
use crate::sys::signal::{InstallError, Signal};
use crate::sys::thread_status;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sampling of every thread of the process, for as long as this lives. There is one at a time.
#[derive(Debug)]
pub(crate) struct Sampling {
    signal: Signal,
}

static UNDER_WAY: AtomicBool = AtomicBool::new(false);

impl Sampling {
    /// Gives each thread a timer.
    pub(crate) fn start(period: Duration) -> Result<Sampling, StartError> {
        if UNDER_WAY.swap(true, Ordering::Relaxed) {
            return Err(StartError::InUse);
        }
        let sampling = Sampling::install().inspect_err(|_| {
            UNDER_WAY.store(false, Ordering::Relaxed);
        })?;
        *cpu::armed() = Some(Armed::new(period));
        sampling.find_threads();
        let refusal = cpu::armed().as_mut().and_then(Armed::refused_all);
        match refusal {
            Some(error) => Err(StartError::NoTimer(error)),
            None => Ok(sampling),
        }
    }

    fn install() -> Result<Sampling, StartError> {
        signal::check().map_err(StartError::Unavailable)?;
        match cpu::install() {
            Ok(signal) => Ok(Sampling { signal }),
            Err(InstallError::Taken(_)) => Err(StartError::Taken),
            Err(error) => Err(StartError::Unavailable(Unavailable::Install(error))),
        }
    }

    /// Creates timers for new threads, and deletes those of threads that have ended.
    ///
    /// All timers are deleted while our handler is replaced: another profiler's handler would count our signals as
    /// samples of its own, and the default action would end the process.
    pub(crate) fn find_threads(&self) {
        let tids: HashSet<u32> = thread_status::ids().into_iter().collect();
        let mut armed = cpu::armed();
        let Some(armed) = armed.as_mut() else { return };
        armed.go_by_the_handler(self.signal.is_ours());
        armed.keep_to(&tids);
    }

    /// Visits the samples so far.
    pub(crate) fn drain(&self, visit: impl FnMut(Sample)) {
        cpu::drain(visit);
    }

    /// How many samples were lost, in this profile and earlier ones.
    pub(crate) fn lost(&self) -> u64 {
        cpu::lost()
    }

    /// Deletes all timers. The samples of the handlers can still be drained.
    pub(crate) fn end(&self) -> Trouble {
        let armed = cpu::armed().take();
        armed.map_or_else(Trouble::default, |armed| armed.end(self.signal.is_ours()))
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        *cpu::armed() = None;
        UNDER_WAY.store(false, Ordering::Relaxed);
    }
}

/// Why nothing is sampled.
#[derive(Debug)]
pub(crate) enum StartError {
    /// A profile is under way.
    InUse,
    /// `SIGPROF` has another handler, or the process ignores it.
    Taken,
    /// Threads cannot look at their stacks here.
    Unavailable(Unavailable),
    /// The system refused the timer of every thread.
    NoTimer(io::Error),
    /// The system has no thread to spare.
    Thread(io::Error),
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Go's words.
            StartError::InUse => f.write_str("cpu profiling already in use"),
            StartError::Taken => f.write_str(
                "SIGPROF is taken already: another profiler runs in this process, or the process ignores the signal",
            ),
            StartError::Unavailable(why) => why.fmt(f),
            StartError::NoTimer(error) => write!(f, "timer_create is refused here: {error}"),
            StartError::Thread(error) => error.fmt(f),
        }
    }
}
