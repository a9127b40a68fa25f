//! The way by which tokio-console is served in this process. There are two ways, and only one can be open.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The source of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The probe's records.
    Records,
    /// tokio's tracing.
    #[cfg_attr(
        not(feature = "subscriber"),
        expect(dead_code, reason = "there is one way without the feature")
    )]
    Tracing,
}

/// The open way, and its number of servers.
static OPEN: Mutex<Option<(Way, usize)>> = Mutex::new(None);

fn open() -> MutexGuard<'static, Option<(Way, usize)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a way open; the other one cannot be opened meanwhile.
#[derive(Debug)]
pub(crate) struct Ways(());

impl Ways {
    pub(crate) fn open(way: Way) -> io::Result<Ways> {
        let mut open = open();
        match &mut *open {
            Some((other, _)) if *other != way => {
                let reason = match other {
                    Way::Records => {
                        "this process serves tokio-console from the probe's records (runtime_probe_console::serve) already"
                    }
                    Way::Tracing => {
                        "this process serves tokio-console from tokio's tracing (runtime_probe_console::subscriber) already"
                    }
                };
                let choice = "one of the two will do: serve costs the tasks nothing and shows tasks; subscriber costs each spawn \
                              and each poll, and shows resources and asynchronous operations, too";
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("{reason}; {choice}"),
                ));
            }
            Some((_, servers)) => *servers += 1,
            None => *open = Some((way, 1)),
        }
        Ok(Ways(()))
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        let mut open = open();
        *open = open
            .map(|(way, servers)| (way, servers - 1))
            .filter(|(_, servers)| *servers > 0);
    }
}
