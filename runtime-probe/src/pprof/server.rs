//! Serves `/debug/pprof/` on a socket of its own.

use crate::pages::routes;
use crate::source;
use crate::sys::own_thread;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use runtime_probe_http::server;
use runtime_probe_http::token::Token;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// Serves `/debug/pprof/` on a loopback address until the returned [`Serving`] is dropped; [`Serving::detach`] keeps it
/// until the process ends. Mirrors importing Go's `net/http/pprof`. Short for [`Server::new`] and [`Server::serve`].
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for an address that is not loopback; otherwise the error of binding (a port in use).
pub fn serve(address: impl ToSocketAddrs) -> io::Result<Serving> {
    Server::new(address).serve()
}

/// A server of `/debug/pprof/` before its start: the address, and the clients that it answers.
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
/// # Threads and connections
/// The server runs on threads of its own and uses no async runtime, so it answers when tokio is stuck. An idle server
/// costs one sleeping thread. It has at most 64 connections. For a further one, it closes the connection that has been
/// idle longest, or else the one whose client has read its answer slowest.
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
    /// A server at an address, which must be loopback unless [`Server::allow_remote`] is called. Port 0 means any free
    /// port. Of a name with several addresses, the first free one is used.
    pub fn new(address: impl ToSocketAddrs) -> Server {
        let addresses = address.to_socket_addrs();
        Server {
            address: addresses.map(|addresses| Address::Tcp(addresses.collect())),
            token: None,
        }
    }

    /// A server at a unix socket, which only the same user may connect to (its mode is 0600): `curl --unix-socket PATH
    /// http://localhost/debug/pprof/`. A socket that a killed process left at `path` is replaced; the file is removed
    /// when the server stops, but not at the end of the process.
    pub fn unix(path: impl Into<PathBuf>) -> Server {
        Server {
            address: Ok(Address::Unix(path.into())),
            token: None,
        }
    }

    /// Answers only clients that send `token`, from any address and with any `Host`. They send it as `Authorization:
    /// Bearer` or as the password of Basic (`curl -u x:TOKEN`, `go tool pprof
    /// http://x:TOKEN@host:port/debug/pprof/goroutine`). The token is compared in constant time and never shown. The
    /// connection is not encrypted, so the network can read the token.
    ///
    /// A token is 16 to 1024 visible ASCII characters, and should be random (`openssl rand -hex 16`); [`Server::serve`]
    /// refuses others.
    pub fn allow_remote(self, token: impl Into<String>) -> Server {
        Server {
            token: Some(Token::new(token.into())),
            ..self
        }
    }

    /// Starts the server.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a token that is too short, and for an address that is not loopback if there
    /// is no token; otherwise the error of resolving or binding (a port in use).
    pub fn serve(self) -> io::Result<Serving> {
        let token = self
            .token
            .transpose()
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        // The creators of threads are recorded from here on.
        source::start();
        match self.address? {
            Address::Tcp(addresses) => server::Server::bind(&addresses, token, answer),
            Address::Unix(path) => server::Server::bind_unix(&path, token, answer),
        }
        .map(Serving)
    }
}

/// Answers on a thread of the server.
fn answer(request: &Request) -> Reply {
    own_thread::adopt();
    routes::answer(request)
}

/// A running HTTP server. It stops when this is dropped.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Serving(server::Server);

impl Serving {
    /// The address that it listens on, with the actual port if port 0 was asked for. `None` for a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr()
    }

    /// The URL: `http://127.0.0.1:6060/debug/pprof/`, or `unix:/run/app.sock`.
    pub fn url(&self) -> String {
        match (self.0.local_addr(), self.0.path()) {
            (Some(address), _) => format!("http://{address}/debug/pprof/"),
            (None, path) => format!("unix:{}", path.unwrap_or(Path::new("")).display()),
        }
    }

    /// Lets the server run until the process ends.
    pub fn detach(self) {
        self.0.detach();
    }

    /// Stops the server and waits until the replies under way are complete or cut off.
    pub fn shutdown(self) {
        self.0.shutdown();
    }
}
