//! The accept thread, and shutdown.
//!
//! The thread blocks in `accept`; a shutdown wakes it through its listener. Polling a flag was rejected: an idle
//! debugging port should not run at all.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::access::Access;
use super::connection::{self, Service};
use super::limits::STACK_BYTES;
use super::permits::{NotAdmitted, Permits, THREAD_NAME};
use super::reply::Reply;
use super::request::Request;
use super::socket::{Address, Listener, Stream};
use super::token::Token;

pub use super::permits::Tally;

/// The first pause after a failure to accept; it doubles with each further one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause: at the limit of file descriptors the server tries once a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a shutdown tries to wake the accept thread; one try is usually enough.
const WAKE_TIME: Duration = Duration::from_secs(2);

/// A listening server. Dropping it shuts it down.
pub struct Server {
    address: Address,
    /// The accept thread owns the listener; it is closed when that thread ends.
    listener: Weak<Listener>,
    permits: Arc<Permits>,
    grace: Duration,
    /// A shutdown takes it, and so does [`Server::detach`].
    accept: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on an address and answers with `handler`, which runs on one thread for each connection. If a name has
    /// several addresses, the first free one is used.
    ///
    /// Without a token, an address that is not loopback is refused with [`io::ErrorKind::InvalidInput`]; of several, all
    /// must be loopback.
    pub fn bind(
        addresses: &[SocketAddr],
        token: Option<Token>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let remote = addresses
            .iter()
            .find(|address| !address.ip().to_canonical().is_loopback());
        let access = match (token, remote) {
            (Some(token), _) => Access::Token(token),
            (None, None) => Access::Loopback,
            (None, Some(remote)) => {
                let reason = format!(
                    "refusing to listen on {remote} without a token: what is served shows the inside of the process, \
                     and only loopback addresses (127.0.0.1, [::1]) keep it on this machine; \
                     RUNTIME_PROBE_TOKEN or Server::allow_remote sets a token"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
        };
        Server::start(
            Listener::tcp(addresses)?,
            Service::standard(access, handler),
        )
    }

    /// The same on a unix socket at `path`, which only this user may connect to. A token is demanded if there is one.
    pub fn bind_unix(
        path: &Path,
        token: Option<Token>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let access = token.map_or(Access::Loopback, Access::Token);
        Server::start(Listener::unix(path)?, Service::standard(access, handler))
    }

    pub(super) fn start(listener: Listener, service: Service) -> io::Result<Server> {
        let listener = Arc::new(listener);
        let permits = Permits::new(service.limits.connections, service.limits.write_stall);
        let grace = service.limits.shutdown_grace;
        let address = listener.address()?;
        let (own, door) = (Arc::downgrade(&listener), Arc::clone(&permits));
        let accept = thread::Builder::new()
            .name(THREAD_NAME.into())
            .stack_size(STACK_BYTES)
            .spawn(move || accept(&listener, &door, &Arc::new(service)))?;
        Ok(Server {
            address,
            listener: own,
            permits,
            grace,
            accept: Some(accept),
        })
    }

    /// The address that it listens on, with the chosen port if port 0 was given; a unix socket has none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// The path of the unix socket it listens on.
    pub fn path(&self) -> Option<&Path> {
        match &self.address {
            Address::Tcp(_) => None,
            Address::Unix(path) => Some(path),
        }
    }

    /// The counts of connections so far.
    pub fn tally(&self) -> Tally {
        self.permits.tally()
    }

    /// Stops accepting, closes idle connections, waits for replies under way and joins the threads.
    ///
    /// It takes at most five seconds. Replies that need longer than two seconds are cut off. A handler that does not
    /// return keeps its thread until it does.
    pub fn shutdown(self) {
        // Its drop does it.
    }

    /// Lets the server run for the life of the process.
    pub fn detach(mut self) {
        self.accept = None;
    }

    fn stop(&self, accept: JoinHandle<()>) {
        self.permits.close();
        let deadline = Instant::now() + WAKE_TIME;
        while !accept.is_finished() && Instant::now() < deadline {
            if let Some(listener) = self.listener.upgrade() {
                listener.wake();
            }
            thread::sleep(SHORTEST_PAUSE);
        }
        if accept.is_finished() {
            // The thread does not panic, and there would be nothing left to do if it did.
            let _ = accept.join();
        }
        self.permits.clear(self.grace);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(accept) = self.accept.take() {
            self.stop(accept);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The accept thread.
fn accept(listener: &Listener, permits: &Arc<Permits>, service: &Arc<Service>) {
    let mut pause = SHORTEST_PAUSE;
    while permits.is_open() {
        match listener.accept() {
            Ok(stream) => {
                pause = SHORTEST_PAUSE;
                permit(Arc::new(stream), permits, service);
            }
            // The client was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // All other errors last (no file descriptors, no memory): a retry at once would be a busy loop.
            Err(_) => {
                permits.accept_failed();
                permits.pause(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn permit(stream: Arc<Stream>, permits: &Arc<Permits>, service: &Arc<Service>) {
    let service = Arc::clone(service);
    let own = Arc::clone(&stream);
    let run = move |permit: &_| connection::serve(&own, permit, &service);
    if let Err(NotAdmitted::Full | NotAdmitted::WithoutThread) = permits.admit(&stream, run) {
        connection::refuse(&stream);
    }
}
