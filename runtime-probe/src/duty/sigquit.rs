//! `kill -QUIT`: the goroutine dump on standard error, as Go's runtime writes it.

use super::quits::{QuitError, Quits};
#[cfg(feature = "rt")]
use crate::environment::SIGQUIT;
use crate::profile::goroutine::Goroutines;
use crate::profile::goroutine_forms::Lines;
use crate::profile::selection::Selection;
use crate::source;
use crate::sys::exit;
use crate::sys::own_thread;
use std::io::{self, Write};

/// What the process does after the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDump {
    /// The process goes on.
    GoOn,
    /// The process ends at once with exit code 2, as a Go program does, without running destructors. In a container that is
    /// restarted when it ends, `kill -QUIT` is then "dump, and restart".
    Exit,
}

/// Go's exit code.
const EXIT_CODE: i32 = 2;

/// Writes the dump of `goroutine?debug=2` to standard error whenever the process gets `SIGQUIT` (`kill -QUIT PID`, or
/// ctrl-\ at its terminal), from now on. `RUNTIME_PROBE_SIGQUIT=dump`, or `exit`, does the same without code.
///
/// The dump needs no worker and no server: a separate thread writes it. It also works in background jobs of a shell
/// (`app &`), which start with `SIGQUIT` ignored.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime_probe::pprof::{self, AfterDump};
///
/// pprof::dump_on_sigquit(AfterDump::GoOn)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if it was called before, or if `SIGQUIT` has another handler, which stays
/// (`tokio::signal::unix` installs one for `SignalKind::quit()`). [`io::ErrorKind::Unsupported`] elsewhere than on
/// Linux on x86_64 and aarch64.
pub fn dump_on_sigquit(then: AfterDump) -> io::Result<()> {
    // The probe is started, so that the dump has stacks.
    source::start();
    let mut quits = Quits::install().map_err(|error| {
        let kind = match &error {
            QuitError::Taken => io::ErrorKind::AlreadyExists,
            QuitError::Install(_) => io::ErrorKind::Unsupported,
            QuitError::Bell(error) => error.kind(),
        };
        io::Error::new(kind, error)
    })?;
    own_thread::spawn("probe-sigquit", move || {
        loop {
            quits.wait();
            dump(io::stderr());
            if then == AfterDump::Exit {
                exit::at_once(EXIT_CODE);
            }
        }
    })?;
    Ok(())
}

/// Writes in pieces: a dump may be large. Errors are ignored: standard error may be closed.
fn dump(mut out: impl Write) {
    let _ = out.write_all(b"SIGQUIT: quit\n\n");
    let mut selection = Selection::default();
    selection.reads_futures = true;
    let goroutines = Goroutines::collect(selection);
    let _ = goroutines.write_text(io::BufWriter::new(out), Lines::All);
}

/// Starts what `RUNTIME_PROBE_SIGQUIT` asks for.
#[cfg(feature = "rt")]
pub(crate) fn from_environment() {
    let Some(wish) = SIGQUIT.value() else {
        return;
    };
    let then = match wish.to_str() {
        Some("dump") => AfterDump::GoOn,
        Some("exit") => AfterDump::Exit,
        _ => return SIGQUIT.refuse("neither dump nor exit"),
    };
    if let Err(error) = dump_on_sigquit(then) {
        SIGQUIT.refuse(error);
    }
}
