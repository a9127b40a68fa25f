//! Serves `/debug/pprof/` on a socket of its own.

use crate::pages::routes;
use crate::source;
use runtime_probe_http::server;
use runtime_probe_http::token::Token;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

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
