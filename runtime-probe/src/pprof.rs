//! The probe's own API, with Go's names where Go has one (`runtime/pprof`, `net/http/pprof`).
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use runtime_probe::pprof;
//!
//! // What `RUNTIME_PROBE_LISTEN=127.0.0.1:6060` does without a line of code:
//! let server = pprof::serve("127.0.0.1:0")?;
//! println!("curl '{}goroutine?debug=2'", server.url());
//!
//! // The same dump without HTTP:
//! let mut text = Vec::new();
//! pprof::lookup("goroutine").ok_or(std::io::ErrorKind::NotFound)?.write_to(&mut text, 2)?;
//! # Ok(()) }
//! ```

use crate::demand::Demand;
#[cfg(feature = "rt")]
use crate::environment::{self, BLOCK_RATE, LISTEN, MUTEX_FRACTION, TASK_HISTOGRAMS, TOKEN};
use crate::http::server;
use crate::http::token::Token;
use crate::pages::routes;
use crate::profile::named::{NamedProfile, PROFILES};
use crate::registry::task::Kind;
use crate::source;
use crate::source::signal::{CaptureError, Unavailable};
use crate::stack::{raw, template, unwind};
use crate::sys::signal::InstallError;
#[cfg(feature = "rt")]
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(feature = "rt")]
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

mod cpu;
pub mod criterion;
#[cfg(feature = "tower")]
pub mod layer;
mod poll_watch;
mod ready_time;
mod sigquit;
mod watchdog;

pub use cpu::{start_cpu_profile, stop_cpu_profile};
pub use poll_watch::{Distribution, PollTimes, PollWatch, watch_polls};
pub use ready_time::{ReadyTimeTracking, track_ready_time};
pub use sigquit::{AfterDump, dump_on_sigquit};
pub use watchdog::{Watchdog, WatchdogCounters, Watching, watchdog_counters};

pub use crate::snapshot::facts::{TaskFacts, TaskId, TaskKind, TaskState};
#[cfg(feature = "rt")]
pub use crate::source::hooks::Hooks;
pub use crate::source::instrumented::Instrumented;
#[cfg(feature = "tower")]
pub use layer::layer;

/// Serves `/debug/pprof/` on a loopback address until the returned [`Serving`] is dropped; [`Serving::detach`] keeps it
/// for the life of the process. Mirrors importing Go's `net/http/pprof`. Short for [`Server::new`] and [`Server::serve`].
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for an address that is not loopback; otherwise what binding says (a port in use).
pub fn serve(address: impl ToSocketAddrs) -> io::Result<Serving> {
    Server::new(address).serve()
}

/// Where `/debug/pprof/` is to be served, and for which clients.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime_probe::pprof::Server;
///
/// // For this machine:
/// let local = Server::new("127.0.0.1:0").serve()?;
/// // For clients that send the token, from anywhere; what `RUNTIME_PROBE_TOKEN` does beside `RUNTIME_PROBE_LISTEN`:
/// # let token = "0123456789abcdef";
/// let remote = Server::new("0.0.0.0:0").allow_remote(token).serve()?;
/// println!("go tool pprof http://x:TOKEN@{}/debug/pprof/goroutine", remote.local_addr().unwrap());
/// # Ok(()) }
/// ```
///
/// # What a server is
/// It runs on threads of its own and uses no async runtime, so it answers when tokio is wedged. An idle one costs one
/// sleeping thread; a busy one never has more than 64 connections: the one that has waited longest for a request is closed for the
/// next, or else the one that has read its answer slowest.
#[derive(Debug)]
#[must_use = "nothing listens before `serve`"]
pub struct Server {
    address: io::Result<Address>,
    token: Option<Result<Token, &'static str>>,
}

#[derive(Debug)]
enum Address {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

impl Server {
    /// At an address, which must be loopback unless [`Server::allow_remote`] says otherwise. Port 0 is any free one. Of a
    /// name with several addresses the first that is free is taken.
    pub fn new(address: impl ToSocketAddrs) -> Server {
        let addresses = address.to_socket_addrs();
        Server {
            address: addresses.map(|addresses| Address::Tcp(addresses.collect())),
            token: None,
        }
    }

    /// At a unix socket, which only the same user may connect to (its mode is 0600): `curl --unix-socket PATH
    /// http://localhost/debug/pprof/`. A socket that a killed process left at `path` is replaced; the file is removed when
    /// the server stops, unless it is stopped by the end of the process.
    pub fn unix(path: impl Into<PathBuf>) -> Server {
        Server {
            address: Ok(Address::Unix(path.into())),
            token: None,
        }
    }

    /// Lets in clients that send `token`, and no others, at any address and under any `Host`: as `Authorization: Bearer` or
    /// as the password of Basic, as `curl -u x:TOKEN` and `go tool pprof http://x:TOKEN@host:port/debug/pprof/goroutine`
    /// send it. It is compared in constant time and never shown. The connection is not encrypted: others on its way read
    /// the token.
    ///
    /// A token is 16 to 1024 visible ASCII characters, and should be random (`openssl rand -hex 16`); [`Server::serve`]
    /// refuses any other.
    pub fn allow_remote(self, token: impl Into<String>) -> Server {
        Server {
            token: Some(Token::new(token.into())),
            ..self
        }
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a token that is too short, and for an address that is not loopback if there is
    /// no token; otherwise what resolving and binding say (a port in use).
    pub fn serve(self) -> io::Result<Serving> {
        let token = self
            .token
            .transpose()
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        // The creators of threads are noted from here on.
        source::start();
        match self.address? {
            Address::Tcp(addresses) => server::Server::bind(&addresses, token, routes::answer),
            Address::Unix(path) => server::Server::bind_unix(&path, token, routes::answer),
        }
        .map(Serving)
    }
}

/// A running HTTP server. Dropping it stops it.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Serving(server::Server);

impl Serving {
    /// Where it listens; tells the port when it was asked for port 0. `None` for a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr()
    }

    /// What to ask: `http://127.0.0.1:6060/debug/pprof/`, or `unix:/run/app.sock`.
    pub fn url(&self) -> String {
        match (self.0.local_addr(), self.0.path()) {
            (Some(address), _) => format!("http://{address}/debug/pprof/"),
            (None, path) => format!("unix:{}", path.unwrap_or(Path::new("")).display()),
        }
    }

    /// Lets it run for the life of the process.
    pub fn detach(self) {
        self.0.detach();
    }

    /// Stops it and waits until the replies under way are done or cut off.
    pub fn shutdown(self) {
        self.0.shutdown();
    }
}

/// The endpoints for another HTTP server than [`Server`]: checks and handlers, without a socket, in std's types. The crate
/// `runtime-probe-axum` is made of this, and a router for another framework can be.
///
/// ```
/// use runtime_probe::pprof::http::{Carrier, Endpoints};
/// use std::io;
///
/// /// A reply in memory; a server would send it.
/// #[derive(Default)]
/// struct Page { status: u16, body: Vec<u8> }
///
/// impl Carrier for Page {
///     fn begin(&mut self, status: u16, _: &[(&'static str, String)], _: Option<usize>) -> io::Result<()> {
///         self.status = status;
///         Ok(())
///     }
///     fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
///         self.body.extend(piece);
///         Ok(())
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let mut page = Page::default();
/// let headers = [("Host".to_owned(), "localhost:8080".to_owned())];
/// let exchange = Endpoints::local().open("GET", "/debug/pprof/goroutine?debug=2", headers);
/// assert_eq!(exchange.body_limit(), 0);
/// exchange.answer(Vec::new(), || false, &mut page)?;
/// assert_eq!(page.status, 200);
/// # Ok(()) }
/// ```
pub mod http {
    pub use crate::http::exchange::{Carrier, Endpoints, Exchange};
}

/// A named profile. Mirrors Go's `pprof.Profile`.
#[derive(Clone, Copy, Debug)]
pub struct Profile(&'static NamedProfile);

/// The profile of that name: `goroutine`, `block`, `mutex`, `threads` or `threadcreate`. Mirrors Go's `pprof.Lookup`.
///
/// ```
/// assert!(runtime_probe::pprof::lookup("goroutine").is_some());
/// assert!(runtime_probe::pprof::lookup("nosuch").is_none());
/// ```
pub fn lookup(name: &str) -> Option<Profile> {
    profiles().find(|profile| profile.name() == name)
}

/// All of them, in the order of their names. Mirrors Go's `pprof.Profiles`.
///
/// ```
/// let names: Vec<_> = runtime_probe::pprof::profiles().map(|profile| profile.name()).collect();
/// assert_eq!(names, ["block", "goroutine", "mutex", "threadcreate", "threads"]);
/// ```
pub fn profiles() -> impl Iterator<Item = Profile> {
    PROFILES.iter().map(Profile)
}

impl Profile {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How many entries it has now: for `goroutine` the tasks alive, for `block` the places where something waited,
    /// for `mutex` those where a holder made others wait, for `threads` and `threadcreate` the threads. Mirrors Go's `Profile.Count`.
    pub fn count(&self) -> usize {
        (self.0.count)()
    }

    /// Writes it. `debug` 0 is gzipped `profile.proto`, 1 Go's text by count. `goroutine` has a block of text per task (2), and
    /// `profile.proto` with a sample for each task and its id, state and wait as labels (3); `threads` and `threadcreate` have a
    /// block of text per thread (2). Mirrors Go's `Profile.WriteTo`. Costs about a microsecond a task, on the calling thread; no
    /// task is disturbed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a `debug` that the profile has no form for; those of `out`.
    ///
    /// ```
    /// let block = runtime_probe::pprof::lookup("block").unwrap();
    /// let refused = block.write_to(std::io::sink(), 2).unwrap_err();
    /// assert_eq!(refused.to_string(), "the profile block has no form for debug = 2: 0 and 1 are known");
    /// ```
    pub fn write_to(&self, mut out: impl Write, debug: u32) -> io::Result<()> {
        let NamedProfile {
            name, most_debug, ..
        } = self.0;
        if debug > *most_debug {
            let known: Vec<String> = (0..*most_debug).map(|form| form.to_string()).collect();
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the profile {name} has no form for debug = {debug}: {} and {most_debug} are known",
                    known.join(", ")
                ),
            ));
        }
        source::start();
        (self.0.write)(&mut out, debug)
    }
}

/// Samples the waits of tasks for each other from now on: on average one for each `ns` nanoseconds waited, so a wait of
/// that length or longer always; 1 takes every wait, 0 or less none. Mirrors Go's `runtime.SetBlockProfileRate`. Any
/// thread may call it at any time. `RUNTIME_PROBE_BLOCK_RATE` sets it at the start. With `RUNTIME_PROBE=off` it stays 0.
///
/// What is counted is the time from the end of the poll in which a task registered for something to the moment at which
/// it was made ready, without its time in the run queue, at the stack with which it waits. Waits that began while the
/// rate was 0 are left out, as in Go.
///
/// While it is on, a wake from inside another task's poll reads the clock once more (10 to 30 ns).
///
/// ```
/// use runtime_probe::pprof;
///
/// pprof::set_block_profile_rate(10_000);
/// assert_eq!(pprof::block_profile_rate(), 10_000);
/// pprof::set_block_profile_rate(0);
/// ```
pub fn set_block_profile_rate(ns: i64) {
    set_rate(Demand::Waits, ns);
}

/// Returns what was set before. A rate may be all that a program has asked of this crate: then nothing else has started
/// the probe. Where it is off it stays off.
fn set_rate(demand: Demand, rate: i64) -> i64 {
    match source::start() {
        true => demand.set(rate),
        false => 0,
    }
}

/// The rate in force, in nanoseconds; 0 is off. It may be finer than what [`set_block_profile_rate`] was told, while
/// a client watches with `block?seconds=10&rate=1000`.
pub fn block_profile_rate() -> i64 {
    Demand::Waits.rate()
}

/// Samples the releases of locks that others waited for from now on: on average one in `n`, 1 takes every one, 0 none.
/// Returns what was set before; a negative `n` changes nothing and only reads. Mirrors Go's
/// `runtime.SetMutexProfileFraction`. Any thread may call it at any time. `RUNTIME_PROBE_MUTEX_FRACTION` sets it at the
/// start. With `RUNTIME_PROBE=off` it stays 0.
///
/// A release of a [`sync::Mutex`](crate::sync::Mutex) or [`sync::RwLock`](crate::sync::RwLock), or of one that blocks its
/// thread ([`sync::blocking`](crate::sync::blocking)), is charged, at the stack that drops the guard, with what its waiters have waited since the last release, all together: a lock that is held for a
/// second with five waiters is one contention of five seconds. The time of a waiter that gave up goes to the next release.
/// Waits that began while the fraction was 0 are left out, and so is the time in the run queue.
///
/// A client that watches with `mutex?seconds=10&fraction=1` may have it finer for that time; that is not in what this
/// returns.
///
/// ```
/// use runtime_probe::pprof;
///
/// assert_eq!(pprof::set_mutex_profile_fraction(100), 0);
/// assert_eq!(pprof::set_mutex_profile_fraction(-1), 100);
/// assert_eq!(pprof::set_mutex_profile_fraction(0), 100);
/// ```
pub fn set_mutex_profile_fraction(n: i32) -> i32 {
    let before = match n {
        ..0 => Demand::Releases.for_good(),
        n => set_rate(Demand::Releases, n.into()),
    };
    i32::try_from(before).unwrap_or(i32::MAX)
}

/// Notes from now on, by spawn location, how long polls, waits, and the delays between a wake and its poll are, for
/// `/debug/pprof/tasks`; or does not any more. Returns what was set before. Any thread may call it at any time.
/// `RUNTIME_PROBE_TASK_HISTOGRAMS=1` sets it at the start. With `RUNTIME_PROBE=off` it stays off.
///
/// Off it costs nothing. On, each poll adds to up to three counters, each poll and each wake from inside another task's poll reads
/// the clock once more (9 to 25 ns), and there is memory: 16 KB for each place that spawns and each group of threads that polls
/// what was spawned there, of which there are eight; 34 MB at the most. A length is known to within 3 %.
///
/// A client that watches with `tasks?seconds=10` has it on for that time; that is not in what this returns.
///
/// ```
/// use runtime_probe::pprof;
///
/// assert!(!pprof::set_task_histograms(true));
/// assert!(pprof::set_task_histograms(false));
/// ```
pub fn set_task_histograms(on: bool) -> bool {
    match source::start() {
        true => Demand::TaskTimes.set(on.into()) != 0,
        false => false,
    }
}

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

/// The stack of a thread of this process, by its kernel id (`gettid`): one address in the code of each function, innermost
/// first, each one past an instruction as return addresses are. Of a stack deeper than 256 frames both halves. Waits for the
/// thread for 100 ms at the most; takes 50 us if it sleeps. `/debug/pprof/symbol?ADDRESS` names an address.
///
/// # Errors
/// Why there is none: the thread has ended ([`io::ErrorKind::NotFound`]), blocks the signal, did not answer in time, or no
/// thread can be asked ([`io::ErrorKind::Unsupported`]).
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # #[cfg(target_os = "linux")] {
/// let stack = runtime_probe::pprof::thread_stack(std::process::id())?; // The main thread's.
/// assert!(stack.len() > 2);
/// # }
/// # Ok(()) }
/// ```
pub fn thread_stack(tid: u32) -> io::Result<Vec<usize>> {
    source::start();
    // A module that was loaded since has unwind tables of its own.
    unwind::refresh();
    let deadline = Instant::now() + Duration::from_millis(100);
    match source::signal::capture(tid, deadline) {
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

/// All tasks that are alive, in no particular order: what a dump tells of each, without its stack, for tools that show it in
/// their own way. Nothing is stopped and no task is disturbed; costs some 100 ns a task on the calling thread, and 200 bytes
/// of memory.
///
/// ```
/// use runtime_probe::pprof::{self, TaskState};
///
/// # #[cfg(feature = "rt")]
/// runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
///     let task = runtime_probe::spawn(std::future::pending::<()>());
///     runtime_probe::task::yield_now().await;
///     let of_it = |facts: &pprof::TaskFacts| facts.id == task.id();
///     let facts = pprof::task_facts().into_iter().find(of_it).unwrap();
///     assert_eq!((facts.state, facts.polls), (TaskState::Waiting, 1));
/// });
/// ```
pub fn task_facts() -> Vec<TaskFacts> {
    crate::snapshot::facts::take()
}

/// Runs `run` with this thread left out: what is spawned on it meanwhile, its `block_on` and the runtimes that are built
/// have no entry anywhere, and cost what they cost with plain tokio. For tools that look at the program from a thread of
/// their own, and are no part of it; a `current_thread` runtime that lives inside `run` is left out as a whole, and of
/// another one the workers, too. What a thread that is not left out spawns on such a runtime is listed.
///
/// From the first call in a process on, each spawn of any thread costs some ten instructions more; a poll costs nothing more.
///
/// ```
/// use runtime_probe::pprof;
///
/// # #[cfg(feature = "rt")]
/// pprof::untracked(|| {
///     let runtime = runtime_probe::runtime::Builder::new_current_thread().build().unwrap();
///     runtime.block_on(async {
///         let task = runtime_probe::spawn(std::future::pending::<()>());
///         assert!(pprof::task_facts().iter().all(|facts| facts.id != task.id()));
///     });
/// });
/// ```
pub fn untracked<R>(run: impl FnOnce() -> R) -> R {
    source::untracked::untracked(run)
}

/// Wraps a future so that it is an entry of its own in a dump: one that runs inside another task (in a
/// `FuturesUnordered`, whose children have wakers of their own), or on another executor. Polls, wakes and results are
/// those of `future`. Spawned tasks need no wrapping.
///
/// ```
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(runtime_probe::pprof::instrument(async { 42 }).await, 42);
/// # })
/// ```
#[inline(always)]
#[track_caller]
pub fn instrument<F: Future>(future: F) -> Instrumented<F> {
    Instrumented::new(
        Kind::Nested,
        source::own_id(),
        Some(source::spawn_here()),
        future,
    )
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
    /// Known paths compared with a full walk, see [`set_capture_verification`].
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

/// Compares every known path with a full walk from now on: about a microsecond a wait. For tests of the probe itself.
pub fn set_capture_verification(on: bool) {
    template::set_verify(on);
}

/// Starts the probe, and the server if `RUNTIME_PROBE_LISTEN` names an address. Only the first call of a process reads
/// the environment. Whatever goes wrong is a complaint: the application comes first.
#[cfg(feature = "rt")]
pub(crate) fn start_from_environment() {
    static FIRST: std::sync::Once = std::sync::Once::new();
    FIRST.call_once(|| {
        if !source::start() {
            return;
        }
        set_rates_from_environment();
        sigquit::from_environment();
        watchdog::from_environment();
        let Some(address) = LISTEN.value() else {
            return;
        };
        match from_environment(&address, TOKEN.value_or_empty()).serve() {
            Ok(serving) => {
                let url = serving.url();
                serving.detach();
                environment::say(&format!("listening on {url}"));
            }
            Err(error) => {
                let address = address.to_string_lossy();
                environment::complain(format!("cannot listen on {address}: {error}"));
            }
        }
    });
}

#[cfg(feature = "rt")]
fn set_rates_from_environment() {
    if let Some(ns) = BLOCK_RATE.number("a number of nanoseconds; block profiling stays off") {
        set_block_profile_rate(ns.into());
    }
    let unlocks = "a number of unlocks; mutex profiling stays off";
    if let Some(fraction) = MUTEX_FRACTION.number(unlocks) {
        match fraction.try_into() {
            Ok(fraction) => drop(set_mutex_profile_fraction(fraction)),
            Err(_) => MUTEX_FRACTION.refuse(format_args!("not {unlocks}")),
        }
    }
    const SWITCH: &str = "1 or 0; task histograms stay off";
    match TASK_HISTOGRAMS.number(SWITCH) {
        None | Some(0) => {}
        Some(1) => drop(set_task_histograms(true)),
        Some(_) => TASK_HISTOGRAMS.refuse(format_args!("not {SWITCH}")),
    }
}

/// A variable that is set counts even if it is empty: a token that a script failed to fill in must not open the door.
#[cfg(feature = "rt")]
fn from_environment(address: &OsStr, token: Option<OsString>) -> Server {
    let server = match address.as_bytes().strip_prefix(b"unix:") {
        Some(path) => Server::unix(OsStr::from_bytes(path)),
        None => Server::new(&*address.to_string_lossy()),
    };
    match token {
        Some(token) => server.allow_remote(token.to_string_lossy()),
        None => server,
    }
}
