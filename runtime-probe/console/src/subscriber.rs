//! The other way: resources and operations from tokio's tracing, by console-subscriber, served by the same server.

use std::io;

use console_subscriber::ConsoleLayer;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

use crate::server::{Server, Serving};
use crate::ways::Way;

/// A layer of `tracing` with which `tokio-console` also shows resources and asynchronous operations, at
/// `127.0.0.1:6669`, for the life of the process. It is added beside the layers of the service, and takes only
/// tokio's traces from them. Mirrors `console_subscriber::spawn`. Short for [`Server::subscriber`] at the client's
/// default address.
///
/// It costs as much as console-subscriber: a spawn takes a hundred times as long, a round through a channel twenty
/// times, and each task takes some 50 KB. [`serve`](crate::serve) has none of these costs, and shows tasks only.
///
/// # Errors
/// The errors of [`Server::subscriber`].
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use tracing_subscriber::prelude::*;
///
/// tracing_subscriber::registry()
///     .with(runtime_probe_console::subscriber()?)
///     // .with(the layers of the service)
///     .init();
/// # Ok(()) }
/// ```
pub fn subscriber<S>() -> io::Result<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (layer, serving) = Server::new("127.0.0.1:6669").subscriber()?;
    serving.detach();
    Ok(layer)
}

impl Server {
    /// The layer of [`subscriber()`], and a server for its data. [`Server::patience`] does not apply: a client that
    /// reads nothing for a while misses updates.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] while [`Server::serve`] serves in the same process; the error says which of
    /// the two to choose. [`io::ErrorKind::Unsupported`] without `--cfg tokio_unstable`, without which tokio traces
    /// nothing. Otherwise the errors of [`Server::serve`].
    ///
    /// ```
    /// # #[cfg(tokio_unstable)]
    /// # fn main() -> std::io::Result<()> {
    /// use runtime_probe_console::Server;
    /// use tracing_subscriber::prelude::*;
    ///
    /// let (layer, serving) = Server::new("127.0.0.1:0").subscriber()?;
    /// tracing_subscriber::registry().with(layer).init();
    /// println!("tokio-console http://{}", serving.local_addr());
    /// # Ok(()) }
    /// # #[cfg(not(tokio_unstable))]
    /// # fn main() {}
    /// ```
    pub fn subscriber<S>(self) -> io::Result<(impl Layer<S>, Serving)>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if !cfg!(tokio_unstable) {
            let reason = "tokio traces tasks and resources with RUSTFLAGS=\"--cfg tokio_unstable\" only; \
                          runtime_probe_console::serve shows tasks without it";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
        let (layer, server) = ConsoleLayer::builder()
            .publish_interval(self.interval)
            .retention(self.retention)
            .build();
        let parts = server.into_parts();
        let instrument = parts.instrument_server;
        let client = move |_| instrument.clone();
        // The aggregator polls a channel of tokio until Pending. With a budget it would take 127 events an interval, and
        // show tasks minutes late (findings/console_late_events.sh).
        let aggregator = tokio::task::unconstrained(parts.aggregator.run());
        let serving = self.start(Way::Tracing, client, aggregator)?;
        Ok((layer.with_filter(FilterFn::new(is_of_tokio)), serving))
    }
}

/// The traces that console-subscriber reads: spans of tokio, and events about them.
fn is_of_tokio(metadata: &Metadata<'_>) -> bool {
    let of_tokio = metadata.target().starts_with("tokio");
    match metadata.is_event() {
        true => of_tokio || metadata.target().starts_with("runtime"),
        false => of_tokio || metadata.name().starts_with("runtime."),
    }
}
