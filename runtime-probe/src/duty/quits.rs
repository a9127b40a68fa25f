//! `SIGQUIT`: the user at the terminal, or an operator, wants to see what the process does.
//!
//! The handler counts and rings the bell. A thread of the probe does everything else: it may allocate and wait.

use crate::primitive::Ordering;
use crate::sys::bell::Bell;
use crate::sys::signal::{Delivery, InstallError, Signal};
use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

static BELL: OnceLock<Bell> = OnceLock::new();
/// How often the signal was sent.
static SENT: AtomicU64 = AtomicU64::new(0);

/// The handler.
fn on_quit(_: &Delivery) {
    // Release: pairs with the Acquire in `wait`.
    SENT.fetch_add(1, Ordering::Release);
    if let Some(bell) = BELL.get() {
        bell.ring();
    }
}

/// Why `SIGQUIT` cannot be handled.
#[derive(Debug)]
pub(crate) enum QuitError {
    /// The signal has a handler: the application's, or ours from an earlier call.
    Taken,
    Install(InstallError),
    /// The bell could not be made.
    Bell(io::Error),
}

impl std::error::Error for QuitError {}

impl fmt::Display for QuitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuitError::Taken => f.write_str("SIGQUIT has a handler already"),
            QuitError::Install(error) => error.fmt(f),
            QuitError::Bell(error) => error.fmt(f),
        }
    }
}

/// The waiter for the signal; there is one.
#[derive(Debug)]
pub(crate) struct Quits {
    bell: &'static Bell,
    seen: u64,
}

static INSTALLED: AtomicBool = AtomicBool::new(false);

impl Quits {
    /// Installs the handler, for the life of the process.
    pub(crate) fn install() -> Result<Quits, QuitError> {
        let bell = Bell::of(&BELL).map_err(QuitError::Bell)?;
        // `install_if_ignored_too` accepts a handler of ours, so an earlier waiter is found by this flag.
        if INSTALLED.swap(true, Ordering::Relaxed) {
            return Err(QuitError::Taken);
        }
        if let Err(error) = Signal::install_if_ignored_too(libc::SIGQUIT, on_quit) {
            INSTALLED.store(false, Ordering::Relaxed);
            return Err(match error {
                InstallError::Taken(_) => QuitError::Taken,
                error => QuitError::Install(error),
            });
        }
        Ok(Quits {
            bell,
            seen: SENT.load(Ordering::Acquire),
        })
    }

    /// Waits for the next signal. Signals that arrived since the last wait count as one.
    pub(crate) fn wait(&mut self) {
        loop {
            let sent = SENT.load(Ordering::Acquire);
            if sent != self.seen {
                self.seen = sent;
                return;
            }
            self.bell.wait(Duration::from_secs(3600));
        }
    }
}
