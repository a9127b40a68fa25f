//! Whether the client of a request is still connected.
//!
//! A handler that waits (`?seconds=30`) asks now and then, so that the wait ends when its client is gone. A callback
//! on disconnect was rejected: it would need a thread that watches.

use std::fmt;
use std::sync::{Arc, Weak};

use super::socket::Stream;

/// The client of a request.
#[derive(Clone)]
pub struct Client(Presence);

#[derive(Clone)]
enum Presence {
    Unknown,
    /// Weak: a handler that keeps a `Client` keeps no socket open.
    Socket(Weak<Stream>),
    /// Another carrier tells.
    Told(Arc<dyn Fn() -> bool + Send + Sync>),
}

impl Client {
    /// A client whose state is not known: it never counts as gone.
    pub fn unknown() -> Self {
        Client(Presence::Unknown)
    }

    pub(super) fn of(socket: &Arc<Stream>) -> Self {
        Client(Presence::Socket(Arc::downgrade(socket)))
    }

    /// A client whose carrier tells whether it is gone.
    pub(crate) fn told(is_gone: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Client(Presence::Told(Arc::new(is_gone)))
    }

    /// Whether the client has closed the connection, or only its sending half (Go counts that as gone, too).
    ///
    /// Does not wait. Bytes that the client sent ahead do not hide a close after them, except on systems that do not
    /// tell. Otherwise one unread byte would keep a handler waiting for a client that is gone.
    pub fn is_gone(&self) -> bool {
        match &self.0 {
            Presence::Unknown => false,
            Presence::Socket(socket) => socket.upgrade().is_none_or(|socket| socket.is_finished()),
            Presence::Told(is_gone) => is_gone(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Presence::Unknown => "Client(unknown)",
            Presence::Socket(_) => "Client(socket)",
            Presence::Told(_) => "Client(told)",
        })
    }
}
