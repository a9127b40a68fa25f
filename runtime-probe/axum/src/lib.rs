//! runtime-probe's `/debug/pprof/` in an axum router: for a service that must keep to one port.
//!
//! ```
//! use axum::Router;
//! use std::net::SocketAddr;
//!
//! # async fn serve(listener: tokio::net::TcpListener, token: String) -> std::io::Result<()> {
//! let app: Router = Router::new()
//!     // ... the routes of the service ...
//!     .merge(runtime_probe_axum::router()) // for this machine
//!     .merge(Router::new().nest("/remote", runtime_probe_axum::remote_router(token)?)); // for clients that send the token
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
//! # }
//! ```
//!
//! The answers are those of the stand-alone server (`RUNTIME_PROBE_LISTEN`), byte for byte. If a second port is
//! possible, that server is the better choice: it has threads of its own and **answers when every worker of the
//! runtime is stuck**. A router cannot, as its requests arrive through those workers.
//!
//! Replies are written on tokio's blocking threads, at most 64 at a time: the next request gets a 503. A reply goes
//! out as fast as its client reads. It is broken off if the client reads nothing for ten seconds, reads less than 4
//! KiB/s for long, or is gone.
//!
//! The router works in a crate with the rename (`tokio = { package = "runtime-probe", .. }`) and in one with plain
//! tokio.

// In reading order: access control, the bound on replies, the reply between a blocking thread and hyper, and tasks
// that hyper spawns.
mod pipe;
mod places;
mod router;

#[cfg(feature = "hyper")]
mod executor;

#[cfg(feature = "hyper")]
pub use executor::Executor;
pub use router::{remote_router, router};
