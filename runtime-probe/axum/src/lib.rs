//! runtime-probe's `/debug/pprof/` in an axum router: for a service that has one port and wants to keep it so.
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
//! The answers are those of the stand-alone server (`RUNTIME_PROBE_LISTEN`), byte for byte. It is the better choice where
//! a second port can be had: it has threads of its own and **answers when every worker of the runtime is stuck**, which a
//! router, whose requests arrive through those workers, cannot.
//!
//! The work is done on tokio's blocking threads, 64 at a time at the most: the next request is a 503. A reply goes out as fast
//! as its client takes it; one that takes nothing for ten seconds, or less than 4 KiB/s for long, or is gone, ends the work.
//!
//! It is the same for a crate with the rename (`tokio = { package = "runtime-probe", .. }`) and for one with plain tokio.

// In reading order: who is let in, how many at once, the reply on its way from a blocking thread, and tasks that hyper spawns.
mod pipe;
mod places;
mod router;

#[cfg(feature = "hyper")]
mod executor;

#[cfg(feature = "hyper")]
pub use executor::Executor;
pub use router::{remote_router, router};
