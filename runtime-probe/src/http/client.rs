//! Whether the one who asked is still there.
//!
//! A handler that waits (`?seconds=30`) asks now and then, so that the wait ends when nobody wants its result any more.
//! A callback on disconnect was rejected: it would need a thread that watches.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long one look may take: the shortest time-out a socket can be given with certainty.
const LOOK: Duration = Duration::from_millis(1);

/// The other end of the connection that a request came by.
///
/// To be asked from the thread that runs the handler, or that writes its stream.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Weak: a handler that keeps a `Client` keeps no socket open.
    socket: Option<Weak<TcpStream>>,
}

impl Client {
    /// A client of whom nothing is known: it never counts as gone.
    pub fn unknown() -> Self {
        Client { socket: None }
    }

    pub(super) fn of(socket: &Arc<TcpStream>) -> Self {
        Client {
            socket: Some(Arc::downgrade(socket)),
        }
    }

    /// Whether the client has closed the connection, or only its sending half (Go counts that as gone, too).
    ///
    /// Takes a few milliseconds. Bytes that the client sent ahead hide a close that comes after them.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for profiles that take a while")
    )]
    pub fn is_gone(&self) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        let Some(socket) = socket.upgrade() else {
            return true;
        };
        if socket.set_read_timeout(Some(LOOK)).is_err() {
            return true;
        }
        match socket.peek(&mut [0]) {
            Ok(seen) => seen == 0,
            Err(error) => !matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
            ),
        }
    }
}
