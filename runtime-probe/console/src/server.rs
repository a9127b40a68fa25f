//! Where it listens, and the thread that it runs on.

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
/// [`io::ErrorKind::InvalidInput`] for an address that is not loopback; otherwise what binding says (a port in use).
pub fn serve(address: impl ToSocketAddrs) -> io::Result<Serving> {
    Server::new(address).serve()
}

/// How long finished tasks are kept, see [`Server::retention`]; that of the client itself.
const DEFAULT_RETENTION: Duration = Duration::from_secs(6);

/// How often the tasks are looked at while a client is attached, see [`Server::interval`]; console-subscriber's.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a client may take nothing, see [`Server::patience`].
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// The least interval: a look at 100,000 tasks takes some 20 ms.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);

/// Clients at a time; the next is hung up on.
const MOST_CONNECTIONS: usize = 32;

/// Where `tokio-console` is served, and how.
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
    /// At an address, which must be loopback unless [`Server::allow_remote`] says otherwise. Port 0 is any free one; the
    /// client's own default is `127.0.0.1:6669`.
    pub fn new(address: impl ToSocketAddrs) -> Server {
        Server {
            addresses: address.to_socket_addrs().map(Iterator::collect),
            remote: false,
            retention: DEFAULT_RETENTION,
            interval: DEFAULT_INTERVAL,
            patience: DEFAULT_PATIENCE,
        }
    }

    /// Allows any address. The protocol knows no password and no encryption: a client that reaches the port reads names, source
    /// paths and times of all tasks. A tunnel needs none of it: `ssh -L 6669:127.0.0.1:6669 HOST`.
    pub fn allow_remote(self) -> Server {
        Server {
            remote: true,
            ..self
        }
    }

    /// For how long finished tasks are kept while a client is attached, for later clients; 6 s unless said otherwise.
    /// 10,000 are kept at the most. With the last client all of them go.
    pub fn retention(self, retention: Duration) -> Server {
        Server { retention, ..self }
    }

    /// How often the tasks are looked at while a client is attached: every second unless said otherwise, and 20 times a
    /// second at the most.
    pub fn interval(self, interval: Duration) -> Server {
        Server {
            interval: interval.max(LEAST_INTERVAL),
            ..self
        }
    }

    /// How long a client may take nothing of what there is for it before it is hung up on; 10 s unless said otherwise.
    pub fn patience(self, patience: Duration) -> Server {
        Server { patience, ..self }
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an address that is not loopback, unless that is allowed; otherwise what resolving
    /// and binding say (a port in use), and what starting a thread says. [`io::ErrorKind::AlreadyExists`] while
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

    /// Listens on a thread of its own, where clients are answered by what `client` makes, and `beside` runs.
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

/// A running server. Dropping it stops it and hangs up on its clients.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Serving {
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Serving {
    /// Where it listens; tells the port when it was asked for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Lets it run for the life of the process.
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

/// The whole life of the thread. A runtime that cannot be built ends it, and clients find the port closed.
fn listen<I: Instrument>(
    listener: TcpListener,
    client: impl Fn(Arc<Notify>) -> InstrumentServer<I>,
    beside: impl Future<Output = ()>,
    stopped: oneshot::Receiver<()>,
) {
    // What is traced here would be about the tracing.
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
            // Out of file descriptors, or the client was gone before it was let in.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
