//! User tasks, regions and logs in an execution trace, and the flight recorder, with the names of Go's `runtime/trace`.

use crate::ask::flight::{self, Flight, Keep};
use crate::demand::Demand;
#[cfg(feature = "rt")]
use crate::environment::FLIGHT_RECORDER;
#[cfg(feature = "rt")]
use crate::pages::go_duration;
use crate::profile::trace::{Format, Labels, write_past};
use crate::source;
pub use crate::source::regions::{Region, RegionScope, Tasked};
#[cfg(feature = "tracing-subscriber")]
pub use crate::source::spans::SpanLayer;
use std::future::Future;
use std::io::{self, Write};
use std::time::Duration;

/// Runs a future as a user task: an operation of the trace, such as the answer to a request, which may run in several
/// tasks. Mirrors Go's `trace.NewTask`.
///
/// A user task begins at the first poll, and ends when the future finishes or is dropped. It contains the
/// [regions](region) and [logs](log) of the future, and those of the tasks and closures that are spawned while the
/// future is polled, and of their children. `go tool trace` lists user tasks by name under "User-defined tasks", with
/// their times and contents.
///
/// The returned future behaves as `future` does. While no trace is taken, each poll looks up the task that runs on its
/// thread, and sets and resets a word of the thread. Of a name of more than 1024 bytes, the last 1024 are shown.
///
/// Tasks that were spawned before the trace began belong to no user task. A user task that began before the trace has a
/// name that says so.
///
/// ```
/// use runtime_probe::pprof::trace;
///
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = trace::task("order", async {
///     let row = trace::region("look up", async { 40 }).await;
///     trace::log("row", &format!("found {row}"));
///     row + 2
/// });
/// assert_eq!(answer.await, 42);
/// # });
/// ```
#[inline]
pub fn task<F: Future>(name: &'static str, future: F) -> Tasked<F> {
    Tasked::new(name, future)
}

/// Runs a future as a region of its task: from its first poll until it finishes or is dropped, waits included. Mirrors
/// Go's `trace.WithRegion`. `go tool trace` lists regions by name under "User-defined regions", with the time in polls,
/// in waits by reason, and ready.
///
/// The returned future behaves as `future` does. While no trace is taken, a region costs a load at its end, and at its
/// begin a load and a look-up of the thread's user task. Of a name of more than 1024 bytes, the last 1024 are shown.
///
/// Regions nest in Go's format. If two overlap in one task, as in a `join!`, the inner one ends with the outer one and
/// begins again. A region that is dropped outside of its task ends with the task.
///
/// ```
/// use runtime_probe::pprof::trace;
///
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(trace::region("parse", async { 7 }).await, 7);
/// # });
/// ```
#[inline]
pub fn region<F: Future>(name: &'static str, future: F) -> Region<F> {
    Region::new(name, future)
}

/// Begins a region that ends when the returned [`RegionScope`] is dropped: [`region()`] for code that is not async.
/// Mirrors Go's `trace.StartRegion`. Inside of a task it must be dropped in the same poll. Outside of any task, the
/// thread is shown as a goroutine. The cost is that of [`region()`].
///
/// ```
/// use runtime_probe::pprof::trace;
///
/// fn checksum(body: &[u8]) -> u8 {
///     let _region = trace::region_scope("checksum");
///     body.iter().fold(0, |sum, byte| sum ^ byte)
/// }
/// assert_eq!(checksum(&[1, 2]), 3);
/// ```
#[inline]
pub fn region_scope(name: &'static str) -> RegionScope {
    RegionScope::new(name)
}

/// Writes a message into the trace, at this time, in this task. Mirrors Go's `trace.Log`; `category` is the kind of
/// message. The first 1024 bytes of the message are kept. While no trace is taken, it costs a load. Check
/// [`is_enabled`] before formatting a message.
///
/// ```
/// use runtime_probe::pprof::trace;
///
/// if trace::is_enabled() {
///     trace::log("cache", &format!("missed {}", 7));
/// }
/// ```
#[inline]
pub fn log(category: &'static str, message: &str) {
    source::regions::log(category, message);
}

/// Whether a trace is taken now, or a flight recorder runs. Mirrors Go's `trace.IsEnabled`.
///
/// ```
/// use runtime_probe::pprof::trace;
///
/// # fn main() -> std::io::Result<()> {
/// let recorder = trace::FlightRecorder::new().start()?;
/// assert!(trace::is_enabled());
/// # drop(recorder);
/// # Ok(()) }
/// ```
#[must_use]
pub fn is_enabled() -> bool {
    Demand::Trace.is_on()
}

/// Keeps an execution trace of the last seconds, to be written when something has gone wrong. Mirrors Go's
/// `trace.FlightRecorder`. `RUNTIME_PROBE_FLIGHT_RECORDER=10s` does the same as the example without code, and
/// `/debug/pprof/trace?last=1` sends the trace.
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
/// Each poll, wake and spawn writes 8 to 24 bytes, and a wake reads the clock. From 4 to 48 MiB of
/// [`FlightRecorder::max_bytes`] the memory is allocated at the start, and nothing is copied before the trace is written. Other
/// recorders have a thread that copies the events ten times a second, and so has every recorder while a client takes a trace.
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

    /// A recorder with Go's defaults.
    pub fn new() -> FlightRecorder {
        FlightRecorder {
            keep: Keep {
                age: Self::DEFAULT_MIN_AGE,
                bytes: Self::DEFAULT_MAX_BYTES,
            },
        }
    }

    /// How long events are kept at least, unless [`FlightRecorder::max_bytes`] is reached.
    pub fn min_age(mut self, age: Duration) -> FlightRecorder {
        self.keep.age = age;
        self
    }

    /// The most bytes of events that are kept in memory. From 4 MiB on, each thread has 64 KiB more that it is writing
    /// to, and 4 MiB are for threads that begin to write. Below 4 MiB and above 48 MiB, the events of the last tenth of a second are always kept.
    pub fn max_bytes(mut self, bytes: usize) -> FlightRecorder {
        self.keep.bytes = bytes;
        self
    }

    /// Starts the recorder. A process has one recorder; clients may take traces at the same time.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one, with Go's text; [`io::ErrorKind::Unsupported`] with
    /// `RUNTIME_PROBE=off`; the system's error if no thread can be created.
    pub fn start(self) -> io::Result<Recorder> {
        if !source::start() {
            let kind = io::ErrorKind::Unsupported;
            return Err(io::Error::new(kind, "the probe is switched off"));
        }
        Flight::start(self.keep).map(Recorder)
    }
}

/// A running flight recorder. It stops when this is dropped.
#[derive(Debug)]
#[must_use = "the recorder ends when this is dropped"]
pub struct Recorder(Flight);

impl Recorder {
    /// Writes the events up to now, in the format of `go tool trace`. Names are looked up now, which may take a second
    /// for a large program. The recorder goes on.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn write_to(&self, out: impl Write) -> io::Result<()> {
        match flight::past() {
            Some(past) => write_past(&past, Format::Go, Labels::Shown, out),
            // Unreachable while `self` lives.
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Lets the recorder run until the process ends.
    pub fn detach(self) {
        self.0.detach();
    }
}

/// Starts what `RUNTIME_PROBE_FLIGHT_RECORDER` asks for.
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
