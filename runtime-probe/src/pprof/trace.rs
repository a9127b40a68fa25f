//! What a program says of itself in an execution trace, and traces without HTTP, with the names of Go's `runtime/trace`.

use crate::ask::flight::{self, Flight, Keep};
use crate::demand::Demand;
#[cfg(feature = "rt")]
use crate::environment::FLIGHT_RECORDER;
#[cfg(feature = "rt")]
use crate::pages::go_duration;
use crate::profile::trace::{Format, Labels, write_past};
use crate::source;
pub use crate::source::regions::{Region, RegionScope, Tasked};
use std::future::Future;
use std::io::{self, Write};
use std::time::Duration;

/// Runs a future as a user task: what belongs together in a trace, such as the answer to a request, in whichever tasks it runs.
/// Mirrors Go's `trace.NewTask`.
///
/// It begins at the first poll, and ends when the future finishes or is dropped. Its parts are the [regions](region) and
/// [logs](log) in the future, and those in the tasks and closures that are spawned while it is polled, and in what these spawn. `go tool trace`
/// lists user tasks by name under "User-defined tasks", with the time of each and all that belongs to it.
///
/// Polls, wakes and results are those of `future`. While no trace is taken, each poll looks for the task that runs on its thread, and
/// puts a word of the thread in force and out of it. Of a name of more than 1024 bytes the last ones are shown.
///
/// What was spawned before the trace began belongs to no user task, and one that began before has a name that says so.
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

/// Runs a future as a region of its task: from its first poll until it finishes or is dropped, over its waits. Mirrors Go's
/// `trace.WithRegion`. `go tool trace` lists regions by name under "User-defined regions", with how long each ran, waited for what,
/// and was ready.
///
/// Polls, wakes and results are those of `future`. While no trace is taken, it costs a load where it ends and, where it begins, a
/// load and a look for the user task of this thread. Of a name of more than 1024 bytes the last ones are shown.
///
/// Go's format has regions that nest. Of two that overlap in one task, as in a `join!`, the inner one ends with the outer one
/// and begins anew. One that is dropped outside of its task ends with that.
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

/// Begins a region that ends when the returned [`RegionScope`] is dropped: [`region()`] for code that is not async. Mirrors Go's
/// `trace.StartRegion`. Inside of a task it must be dropped in the same poll. A thread outside of any task is shown as a goroutine
/// of its own. It costs what a [`region()`] costs.
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

/// Writes a message into the trace, at this time, in this task. Mirrors Go's `trace.Log`: `category` says what kind of message it
/// is. Of the message 1024 bytes are kept. While no trace is taken, it costs a load; where the text has to be made,
/// [`is_enabled`] tells whether it will be read.
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

    /// How many bytes of events are kept in memory, at most; what was left in the last tenth of a second is always kept, and from 4 MiB
    /// on the 64 KiB that a thread is writing to.
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
            Some(past) => write_past(&past, Format::Go, Labels::Shown, out),
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
