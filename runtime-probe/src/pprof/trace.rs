//! Execution traces without HTTP, with the names of Go's `runtime/trace`.

use crate::ask::flight::{self, Flight, Keep};
#[cfg(feature = "rt")]
use crate::environment::FLIGHT_RECORDER;
#[cfg(feature = "rt")]
use crate::pages::go_duration;
use crate::profile::trace::write_past;
use crate::source;
use std::io::{self, Write};
use std::time::Duration;

/// Keeps what tasks and threads did in the last seconds, to be written when something has gone wrong. Mirrors Go's
/// `trace.FlightRecorder`. `RUNTIME_PROBE_FLIGHT_RECORDER=10s` does the same as the example without code, and
/// `/debug/pprof/trace?last=1` writes what there is.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime_probe::pprof::trace::FlightRecorder;
/// use std::time::Duration;
///
/// let recorder = FlightRecorder::new().min_age(Duration::from_secs(5)).start()?;
/// // ... something goes wrong ...
/// # let directory = std::env::temp_dir();
/// let path = directory.join(format!("flight-{}.trace", std::process::id()));
/// recorder.write_to(std::fs::File::create(&path)?)?;
/// // go tool trace flight.trace
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
///
/// # Cost
/// Each poll, wake and spawn writes 8 to 24 bytes and reads the clock. A thread copies these ten times a second.
#[derive(Clone, Debug)]
#[must_use = "nothing is recorded before `start`"]
pub struct FlightRecorder {
    keep: Keep,
}

impl Default for FlightRecorder {
    fn default() -> Self {
        FlightRecorder::new()
    }
}

impl FlightRecorder {
    /// The default of [`FlightRecorder::min_age`], Go's.
    pub const DEFAULT_MIN_AGE: Duration = Duration::from_secs(10);
    /// The default of [`FlightRecorder::max_bytes`], Go's: 10 MiB, about a million events.
    pub const DEFAULT_MAX_BYTES: usize = 10 << 20;

    /// With Go's defaults.
    pub fn new() -> FlightRecorder {
        FlightRecorder {
            keep: Keep {
                age: Self::DEFAULT_MIN_AGE,
                bytes: Self::DEFAULT_MAX_BYTES,
            },
        }
    }

    /// For how long events are kept, at least, as long as they are not too much.
    pub fn min_age(mut self, age: Duration) -> FlightRecorder {
        self.keep.age = age;
        self
    }

    /// How many bytes of events are kept in memory, at most; what was left in the last tenth of a second is always kept.
    pub fn max_bytes(mut self, bytes: usize) -> FlightRecorder {
        self.keep.bytes = bytes;
        self
    }

    /// Begins to record. There is one recorder in a process, beside any trace that a client takes.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one, in Go's words; [`io::ErrorKind::Unsupported`] with
    /// `RUNTIME_PROBE=off`; what the system says if it has no thread to spare.
    pub fn start(self) -> io::Result<Recorder> {
        if !source::start() {
            let kind = io::ErrorKind::Unsupported;
            return Err(io::Error::new(kind, "the probe is switched off"));
        }
        Flight::start(self.keep).map(Recorder)
    }
}

/// A running flight recorder. Dropping it ends it.
#[derive(Debug)]
#[must_use = "the recorder ends when this is dropped"]
pub struct Recorder(Flight);

impl Recorder {
    /// Writes what there is, up to now, in the format that `go tool trace` reads. Names are looked up now, which may take a
    /// second for a large program. The recorder goes on.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: impl Write) -> io::Result<()> {
        match flight::past() {
            Some(past) => write_past(&past, out),
            // Not while `self` lives.
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Lets it run for the life of the process.
    pub fn detach(self) {
        self.0.detach();
    }
}

/// What `RUNTIME_PROBE_FLIGHT_RECORDER` asks for.
#[cfg(feature = "rt")]
pub(crate) fn from_environment() {
    let Some(age) = FLIGHT_RECORDER.value() else {
        return;
    };
    let age = match go_duration::parse(&age.to_string_lossy()) {
        Ok(age) => age,
        Err(reason) => return FLIGHT_RECORDER.refuse(reason),
    };
    match FlightRecorder::new().min_age(age).start() {
        Ok(recorder) => recorder.detach(),
        Err(error) => FLIGHT_RECORDER.refuse(error),
    }
}
