//! The listener and its thread.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::connection;
use crate::instrument::Client;
use crate::model::Shared;
use crate::ways::{Way, Ways};

/// Serves `tokio-console` on a loopback address until the returned [`Serving`] is dropped; [`Serving::detach`] keeps it for
/// the life of the process. Mirrors `console_subscriber::init`. Short for [`Server::new`] and [`Server::serve`].
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for an address that is not loopback; otherwise the error of binding (a port in
/// use).
pub fn serve(address: impl ToSocketAddrs) -> io::Result<Serving> {
    Server::new(address).serve()
}

/// How long finished tasks are kept, see [`Server::retention`]; as long as the client keeps them.
const DEFAULT_RETENTION: Duration = Duration::from_secs(6);

/// How often the tasks are read while a client is attached, see [`Server::interval`]; the interval of
/// console-subscriber.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a client may take no message, see [`Server::patience`].
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// The least interval: a look at 100,000 tasks takes some 20 ms.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);

/// Clients at a time; the next one is disconnected.
const MOST_CONNECTIONS: usize = 32;

/// Settings of a server for `tokio-console`.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime_probe_console::Server;
/// use std::time::Duration;
///
/// let console = Server::new("127.0.0.1:0").interval(Duration::from_millis(200)).serve()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing listens before `serve`"]
pub struct Server {
    addresses: io::Result<Vec<SocketAddr>>,
    remote: bool,
    pub(crate) retention: Duration,
    pub(crate) interval: Duration,
    patience: Duration,
}

impl Server {
    /// At an address, which must be loopback unless [`Server::allow_remote`] is called. Port 0 is any free port; the
    /// client's default is `127.0.0.1:6669`.
    pub fn new(address: impl ToSocketAddrs) -> Server {
        Server {
            addresses: address.to_socket_addrs().map(Iterator::collect),
            remote: false,
            retention: DEFAULT_RETENTION,
            interval: DEFAULT_INTERVAL,
            patience: DEFAULT_PATIENCE,
        }
    }

    /// Allows any address. The protocol has no password and no encryption: a client that reaches the port reads
    /// names, source paths and times of all tasks. A tunnel needs no remote address: `ssh -L 6669:127.0.0.1:6669
    /// HOST`.
    pub fn allow_remote(self) -> Server {
        Server {
            remote: true,
            ..self
        }
    }

    /// How long finished tasks are kept while a client is attached, for later clients; the default is 6 s. At most
    /// 10,000 are kept. When the last client leaves, all are dropped.
    pub fn retention(self, retention: Duration) -> Server {
        Server { retention, ..self }
    }

    /// How often the tasks are read while a client is attached; the default is every second, the most is 20 times a
    /// second.
    pub fn interval(self, interval: Duration) -> Server {
        Server {
            interval: interval.max(LEAST_INTERVAL),
            ..self
        }
    }

    /// How long a client may leave a message waiting before it is disconnected; the default is 10 s.
    pub fn patience(self, patience: Duration) -> Server {
        Server { patience, ..self }
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an address that is not loopback, unless that is allowed; otherwise the
    /// error of resolving, of binding (a port in use) or of starting a thread. [`io::ErrorKind::AlreadyExists`] while
    /// `Server::subscriber` (feature `subscriber`) serves in the same process.
    pub fn serve(self) -> io::Result<Serving> {
        let interval = self.interval;
        let shared = Arc::new(Shared::new(self.retention, self.patience));
        let for_clients = shared.clone();
        let client =
            move |too_slow| InstrumentServer::new(Client::new(for_clients.clone(), too_slow));
        self.start(Way::Records, client, async move {
            shared.look_every(interval).await;
        })
    }

    /// Listens on a thread of its own. The services that `client` makes answer the clients there, and `beside` runs
    /// there, too.
    pub(crate) fn start<I: Instrument>(
        self,
        way: Way,
        client: impl Fn(Arc<Notify>) -> InstrumentServer<I> + Send + 'static,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Serving> {
        let addresses = self.addresses?;
        if let Some(address) = addresses
            .iter()
            .find(|address| !address.ip().to_canonical().is_loopback())
            && !self.remote
        {
            let reason = format!(
                "{address} is not a loopback address: tokio-console's protocol has no password, so others would read of all \
                 tasks; use a tunnel (ssh -L), or Server::allow_remote"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let open = Ways::open(way)?;
        let listener = TcpListener::bind(&*addresses)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime_probe::pprof::untracked(|| listen(listener, client, beside, stopped));
            drop(open);
        };
        let thread = std::thread::Builder::new()
            .name("probe-console".to_owned())
            .spawn(run)?;
        Ok(Serving {
            address,
            running: Some((stop, thread)),
        })
    }
}

/// A running server. Dropping it stops it and disconnects its clients.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Serving {
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Serving {
    /// Where it listens; with the chosen port if port 0 was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Lets the server run for the life of the process.
    pub fn detach(mut self) {
        if let Some((stop, _)) = self.running.take() {
            std::mem::forget(stop);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

/// The whole run of the thread. If its runtime cannot be built the thread ends, and clients find the port closed.
fn listen<I: Instrument>(
    listener: TcpListener,
    client: impl Fn(Arc<Notify>) -> InstrumentServer<I>,
    beside: impl Future<Output = ()>,
    stopped: oneshot::Receiver<()>,
) {
    // Traces of this thread would be traces of the tracing itself.
    #[cfg(feature = "subscriber")]
    let _untraced = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            return;
        };
        tokio::select! {
            _ = stopped => {}
            () = accept(&listener, client) => {}
            () = beside => {}
        }
    });
}

async fn accept<I: Instrument>(
    listener: &tokio::net::TcpListener,
    client: impl Fn(Arc<Notify>) -> InstrumentServer<I>,
) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(permit) = permits.clone().try_acquire_owned() {
                    let too_slow = Arc::new(Notify::new());
                    let connection = connection::serve(stream, client(too_slow.clone()), too_slow);
                    tokio::spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
            }
            // No file descriptors are left, or the client was gone before it was accepted.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
