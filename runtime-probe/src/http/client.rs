//! Whether the one who asked is still there.
//!
//! A handler that waits (`?seconds=30`) asks now and then, so that the wait ends when nobody wants its result any more.
//! A callback on disconnect was rejected: it would need a thread that watches.

use std::sync::{Arc, Weak};

use super::socket::Stream;

/// The other end of the connection that a request came by.
///
/// To be asked from the thread that runs the handler, or that writes its stream.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Weak: a handler that keeps a `Client` keeps no socket open.
    socket: Option<Weak<Stream>>,
}

impl Client {
    /// A client of whom nothing is known: it never counts as gone.
    pub fn unknown() -> Self {
        Client { socket: None }
    }

    pub(super) fn of(socket: &Arc<Stream>) -> Self {
        Client {
            socket: Some(Arc::downgrade(socket)),
        }
    }

    /// Whether the client has closed the connection, or only its sending half (Go counts that as gone, too).
    ///
    /// Does not wait. Bytes that the client sent ahead hide a close that comes after them.
    pub fn is_gone(&self) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        socket.upgrade().is_none_or(|socket| socket.is_finished())
    }
}
