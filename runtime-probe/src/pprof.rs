//! The probe's own API, with Go's names where Go has one (`runtime/pprof`, `net/http/pprof`).
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use runtime_probe::pprof;
//!
//! // What `RUNTIME_PROBE_LISTEN=127.0.0.1:6060` does without a line of code:
//! let server = pprof::serve("127.0.0.1:0")?;
//! println!("curl 'http://{}/debug/pprof/goroutine?debug=2'", server.local_addr());
//!
//! // The same dump without HTTP:
//! let mut text = Vec::new();
//! pprof::lookup("goroutine").ok_or(std::io::ErrorKind::NotFound)?.write_to(&mut text, 2)?;
//! # Ok(()) }
//! ```

use crate::http::host::HostPolicy;
use crate::http::{routes, server};
use crate::profile::goroutine::{self, Goroutines};
use crate::registry::record::Kind;
use crate::source;
use crate::stack::{raw, template};
use std::future::Future;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::Ordering;

pub use crate::source::instrumented::Instrumented;

/// Serves `/debug/pprof/` on a loopback address until the returned [`Server`] is dropped; [`Server::detach`] keeps it
/// for the life of the process. Mirrors importing Go's `net/http/pprof`.
///
/// The server runs on threads of its own and uses no async runtime, so it answers when tokio is wedged. An idle one
/// costs one sleeping thread.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for an address that is not loopback; otherwise what binding says (a port in use).
pub fn serve(address: impl ToSocketAddrs) -> io::Result<Server> {
    server::Server::bind(address, HostPolicy::Loopback, routes::answer).map(Server)
}

/// A running HTTP server. Dropping it stops it.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Server(server::Server);

impl Server {
    /// Where it listens; tells the port when it was asked for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
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

/// A named profile. Mirrors Go's `pprof.Profile`.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    name: &'static str,
}

/// The profile of that name: `goroutine`. Mirrors Go's `pprof.Lookup`.
///
/// ```
/// assert!(runtime_probe::pprof::lookup("goroutine").is_some());
/// assert!(runtime_probe::pprof::lookup("nosuch").is_none());
/// ```
pub fn lookup(name: &str) -> Option<Profile> {
    (name == goroutine::NAME).then_some(Profile {
        name: goroutine::NAME,
    })
}

impl Profile {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many entries it has now; for `goroutine`, the tasks alive. Mirrors Go's `Profile.Count`.
    pub fn count(&self) -> usize {
        crate::snapshot::tasks::count()
    }

    /// Writes it: `debug` 0 is gzipped `profile.proto`, 1 Go's text by count, 2 or more a block of text per task.
    /// Mirrors Go's `Profile.WriteTo`. Costs about a microsecond a task, on the calling thread; no task is disturbed.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: impl Write, debug: u32) -> io::Result<()> {
        let goroutines = Goroutines::collect();
        match debug {
            0 => goroutines.write_profile(out),
            1 => goroutines.write_count_text(out),
            _ => goroutines.write_text(out, false),
        }
    }
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
/// the environment. Whatever goes wrong is one line on standard error: the application comes first.
#[cfg(feature = "rt")]
pub(crate) fn start_from_environment() {
    static FIRST: std::sync::Once = std::sync::Once::new();
    FIRST.call_once(|| {
        if !source::is_on() {
            return;
        }
        let Some(address) =
            std::env::var_os("RUNTIME_PROBE_LISTEN").filter(|address| !address.is_empty())
        else {
            return;
        };
        let address = address.to_string_lossy().into_owned();
        // Standard error may be closed; that is no reason to panic, as eprintln would.
        let mut stderr = io::stderr();
        let _ = match serve(address.as_str()) {
            Ok(server) => {
                let local = server.local_addr();
                server.detach();
                writeln!(
                    stderr,
                    "runtime-probe: listening on http://{local}/debug/pprof/"
                )
            }
            Err(error) => writeln!(stderr, "runtime-probe: cannot listen on {address}: {error}"),
        };
    });
}
