//! `net/http/pprof` for tokio.
pub use tokio::*;
