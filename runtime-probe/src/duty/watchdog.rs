//! Warns when a program does not run as it should.

use super::warning::{headline, stacks, warn};
use crate::ask::flight::{self, Past};
#[cfg(feature = "rt")]
use crate::environment::{WATCHDOG, WATCHDOG_DIR};
#[cfg(feature = "rt")]
use crate::pages::go_duration;
use crate::profile::alarms::{Alarm, Alarms, Patience, Told};
use crate::profile::conditions::{self, Condition};
use crate::profile::goroutine::Goroutines;
use crate::profile::goroutine_forms::Lines;
use crate::profile::long_waits::LongWaits;
use crate::profile::selection::Selection;
use crate::profile::trace::{Format, Labels, write_past};
use crate::snapshot::deadlocks::Deadlock;
use crate::snapshot::standstill;
use crate::snapshot::stuck_locks::Paced;
use crate::snapshot::watch::{Trouble, look};
use crate::source;
use crate::sys::own_thread;
use crate::tally::{findings, growths};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Warns when
/// * a poll lasts longer than the limit: something blocks or computes inside a task, and its worker polls no other
///   task;
/// * a task is ready for longer than the limit and is not polled;
/// * a task waits longer than [`Watchdog::wait_limit`] for a lock, a permit or room in a channel;
/// * tasks or threads wait for locks of each other (a deadlock);
/// * a closure waits for a thread of the blocking pool for longer than the limit: all threads are busy;
/// * the timers and the I/O of a runtime stand still for longer than the limit: its workers are in long polls, or sleep
///   until another worker wakes them, or one of them is in a wake by the driver, as a timer's waker that blocks;
/// * a task spins: for five seconds it is polled at least a thousand times a second, and is never found waiting;
/// * the number of tasks grows, of one spawn location and one type of future, or in all. It grows if each of ten counts
///   in a row, ten seconds apart, is above the one before, and the sum of it is at least a hundred tasks and a tenth.
///   So the warning about a leak comes after 100 seconds;
/// * the number of results that are not taken out of their `JoinSet`s grows, of tasks of one spawn location.
///
/// The warning is an event of `tracing` with that feature, and lines on standard error without it. Each has the stacks.
/// `RUNTIME_PROBE_WATCHDOG=1s` does the same as the example without code, and `RUNTIME_PROBE_WATCHDOG_DIR=PATH` keeps
/// dumps.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime_probe::pprof::Watchdog;
/// use std::time::Duration;
///
/// let watching = Watchdog::new(Duration::from_secs(1)).start()?;
/// # drop(watching);
/// # Ok(()) }
/// ```
///
/// # Cost
/// A thread that walks over the records of all tasks twice within the limit, and at most once a second: 5 ms for
/// 100,000 tasks. A warning takes a dump.
///
/// # Not seen
/// A poll that ends before the watchdog looks. It is certain to be found if it lasts one and a half times the limit. A
/// task in `block_in_place` is in a poll, so it is found. Closures of `spawn_blocking` are not: they may block.
#[derive(Clone, Debug)]
#[must_use = "nothing is watched before `start`"]
pub struct Watchdog {
    limit: Duration,
    wait_limit: Duration,
    patience: Patience,
    directory: Option<PathBuf>,
    dumps: usize,
    dump_bytes: u64,
}

impl Watchdog {
    /// The default of [`Watchdog::quiet`].
    pub const DEFAULT_QUIET: Duration = Duration::from_secs(60);
    /// The default of [`Watchdog::growth_every`].
    pub const DEFAULT_GROWTH_EVERY: Duration = Duration::from_secs(10);
    /// The default of [`Watchdog::wait_limit`].
    pub const DEFAULT_WAIT_LIMIT: Duration = Duration::from_secs(30);
    /// The default number of dumps, see [`Watchdog::dump_into`].
    pub const DEFAULT_DUMPS: usize = 10;
    /// The default of the bytes of a dump: 16 MiB, some 30,000 tasks.
    pub const DEFAULT_DUMP_BYTES: u64 = 16 << 20;

    /// A watchdog with a limit for the length of a poll and for the ready time of a task. At least a millisecond.
    pub fn new(limit: Duration) -> Watchdog {
        Watchdog {
            limit,
            wait_limit: Self::DEFAULT_WAIT_LIMIT,
            patience: Patience {
                quiet: Self::DEFAULT_QUIET,
                growth_every: Self::DEFAULT_GROWTH_EVERY,
            },
            directory: None,
            dumps: Self::DEFAULT_DUMPS,
            dump_bytes: Self::DEFAULT_DUMP_BYTES,
        }
    }

    /// How long a task may wait for a lock, a permit or room in a channel; zero for no limit.
    pub fn wait_limit(mut self, limit: Duration) -> Watchdog {
        self.wait_limit = limit;
        self
    }

    /// How long no second warning about the same cause is given (for a poll: its spawn location and its future's type).
    /// Suppressed warnings are counted for each kind.
    pub fn quiet(mut self, time: Duration) -> Watchdog {
        self.patience.quiet = time;
        self
    }

    /// The interval between two counts of tasks; zero for no counts. Ten growing counts in a row are growth.
    pub fn growth_every(mut self, time: Duration) -> Watchdog {
        self.patience.growth_every = time;
        self
    }

    /// Writes a dump of all tasks (`goroutine?debug=2`) for each warning, to a new file in this directory:
    /// `runtime-probe-PID-1.txt` and so on. At most [`Watchdog::DEFAULT_DUMPS`] files are written, unless
    /// [`Watchdog::dumps`] sets another number. Files of an earlier process with the same id, as in a container, are
    /// kept and count. While a [flight recorder](crate::pprof::trace::FlightRecorder) runs, a `.trace` file with the
    /// last seconds is written beside each dump.
    pub fn dump_into(mut self, directory: impl Into<PathBuf>) -> Watchdog {
        self.directory = Some(directory.into());
        self
    }

    /// How many dumps are written in all, and how many bytes of each. A longer dump is cut off.
    pub fn dumps(mut self, most: usize, bytes: u64) -> Watchdog {
        (self.dumps, self.dump_bytes) = (most, bytes);
        self
    }

    /// Starts the watchdog's thread.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a limit of less than a millisecond; the system's error if no thread can be
    /// created.
    pub fn start(self) -> io::Result<Watching> {
        if self.limit < Duration::from_millis(1) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a watchdog needs a limit of a millisecond or more",
            ));
        }
        // The probe is started, so that warnings have stacks.
        source::start();
        let (stop, stopped) = channel();
        let thread = own_thread::spawn("probe-watchdog", move || {
            let every = (self.limit / 2).min(Duration::from_secs(1));
            let mut alarms = Alarms::new(self.patience);
            let (mut known, mut stuck) = (LongWaits::default(), Paced::default());
            let mut written = 0;
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let before = alarms.counts();
                let by_site = alarms.counts_are_due(Instant::now());
                let mut look = look(self.limit, by_site, |waits| known.yields(waits));
                if !look.long_polls.is_empty() || standstill::driver_may_be_held() {
                    look.standstills = standstills(self.limit);
                }
                let stuck = stuck.look();
                look.deadlocks = stuck.deadlocks.iter().map(Deadlock::first).collect();
                look.futurelocks = stuck.futurelocks.iter().map(|one| one.task).collect();
                let waits = match self.wait_limit {
                    Duration::ZERO => Vec::new(),
                    limit => known.look(limit),
                };
                let told = alarms.judge(&look, &waits, Instant::now());
                findings::add(before, alarms.counts());
                for told in told {
                    if let Alarm::Growth(growth) = told.alarm {
                        growths::note(growth, Instant::now());
                    }
                    self.tell(told, &mut written);
                }
            }
        })?;
        Ok(Watching {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn tell(&self, told: Told, written: &mut usize) {
        let mut message = headline(told, self.limit);
        if let Some(directory) = self.directory.as_deref().filter(|_| *written < self.dumps) {
            let _ = loop {
                *written += 1;
                let path = directory.join(format!(
                    "runtime-probe-{}-{written}.txt",
                    std::process::id()
                ));
                let past = flight::past();
                match self.dump(&path) {
                    Ok(()) => {
                        let _ = write!(message, "; all tasks are in {}", path.display());
                        break past.map_or(Ok(()), |past| told_past(&past, &path, &mut message));
                    }
                    // The file of an earlier process with this id, as in a restarted container. It is kept, and counts.
                    Err(error)
                        if error.kind() == io::ErrorKind::AlreadyExists
                            && *written < self.dumps => {}
                    Err(error) => {
                        break write!(message, "; no dump in {}: {error}", path.display());
                    }
                }
            };
        }
        message.push('\n');
        message.push_str(&stacks(told.alarm, self.limit));
        warn(message.trim_end());
    }

    fn dump(&self, path: &Path) -> io::Result<()> {
        let file = File::create_new(path)?;
        let mut out = Cut {
            inside: io::BufWriter::new(file),
            left: self.dump_bytes,
        };
        Goroutines::collect(Selection::default()).write_text(&mut out, Lines::All)?;
        out.flush()
    }
}

/// Writes the content of the flight recorder to a file beside a dump, and adds its path to the message.
fn told_past(past: &Past, dump: &Path, message: &mut String) -> fmt::Result {
    let path = dump.with_extension("trace");
    let written = File::create_new(&path)
        .and_then(|file| write_past(past, Format::Go, Labels::Shown, io::BufWriter::new(file)));
    match written {
        Ok(()) => write!(message, ", the last seconds in {}", path.display()),
        Err(error) => write!(message, ", no trace in {}: {error}", path.display()),
    }
}

/// A running watchdog. It stops when this is dropped.
#[derive(Debug)]
#[must_use = "the watch ends when this is dropped"]
pub struct Watching {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// Lets the watchdog run until the process ends.
    pub fn detach(mut self) {
        // The thread ends when the sender is dropped.
        std::mem::forget(self.stop.take());
        self.thread = None;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts what `RUNTIME_PROBE_WATCHDOG` asks for.
#[cfg(feature = "rt")]
pub(crate) fn from_environment() {
    let Some(rules) = WATCHDOG.value() else {
        return;
    };
    let watchdog = match parse(&rules.to_string_lossy()) {
        Ok(watchdog) => watchdog,
        Err(reason) => return WATCHDOG.refuse(reason),
    };
    let directory = WATCHDOG_DIR.value().map(PathBuf::from);
    if directory.as_ref().is_some_and(|path| !path.is_dir()) {
        WATCHDOG_DIR.refuse("not a directory, so no dump is written before it is one");
    }
    let watchdog = Watchdog {
        directory,
        ..watchdog
    };
    match watchdog.start() {
        Ok(watching) => watching.detach(),
        Err(error) => WATCHDOG.refuse(error),
    }
}

/// Parses `1s`, or rules such as `poll=1s,wait=30s,growth=off,quiet=60s`. Rules that are not named have their defaults;
/// that of `poll` is a second. The error is the end of a sentence.
#[cfg(feature = "rt")]
fn parse(rules: &str) -> Result<Watchdog, String> {
    if !rules.contains('=') {
        return Ok(Watchdog::new(go_duration::parse(rules)?));
    }
    let mut watchdog = Watchdog::new(Duration::from_secs(1));
    for rule in rules.split(',') {
        let (name, time) = rule.split_once('=').unwrap_or((rule, ""));
        let field = match name.trim() {
            "poll" => &mut watchdog.limit,
            "wait" => &mut watchdog.wait_limit,
            "growth" => &mut watchdog.patience.growth_every,
            "quiet" => &mut watchdog.patience.quiet,
            _ => {
                return Err(format!(
                    "has no rule {name:?}: poll, wait, growth and quiet are known"
                ));
            }
        };
        *field = match (time.trim(), name.trim()) {
            ("off", "wait" | "growth") => Duration::ZERO,
            (time, name) => {
                go_duration::parse(time).map_err(|reason| format!("{name}: {reason}"))?
            }
        };
    }
    Ok(watchdog)
}

/// The runtimes that have stood still for longer than `limit`.
fn standstills(limit: Duration) -> Vec<Trouble> {
    let conditions = conditions::standstills().into_iter();
    conditions
        .filter_map(|condition| match condition {
            Condition::Standstill { runtime, since, .. } if since > limit => Some(Trouble {
                runtime: runtime.0,
                since,
            }),
            _ => None,
        })
        .collect()
}

/// A writer that passes on the first `left` bytes and drops the rest.
struct Cut<W> {
    inside: W,
    left: u64,
}

impl<W: Write> Write for Cut<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let part = &bytes[..bytes.len().min(room)];
        self.inside.write_all(part)?;
        self.left -= part.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inside.flush()
    }
}

#[cfg(all(test, feature = "rt"))]
mod tests {
    use super::*;

    #[test]
    fn waits_and_growth_can_be_left_out() {
        let rules = parse("poll=2s, wait=off, growth=off").unwrap();
        assert_eq!(rules.limit, Duration::from_secs(2));
        assert!(rules.wait_limit.is_zero() && rules.patience.growth_every.is_zero());
        let rules = parse("wait=5s").unwrap();
        assert_eq!(rules.wait_limit, Duration::from_secs(5));
        assert_eq!(rules.patience.growth_every, Watchdog::DEFAULT_GROWTH_EVERY);
        assert!(parse("poll=off").is_err());
        assert!(parse("off").is_err());
    }
}
