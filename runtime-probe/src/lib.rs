//! `net/http/pprof` for tokio.

// The probe's own layers, each knowing only those above it in this list. ARCHITECTURE.md has the reading path.
mod clock;
mod http;
pub mod pprof;
mod primitive;
mod profile;
mod registry;
mod snapshot;
mod source;
mod stack;
mod symbol;
mod sys;

// The tokio-shaped facade.
pub use tokio::*;

#[cfg(feature = "rt")]
pub mod runtime;
#[cfg(feature = "rt")]
pub mod task;

#[cfg(feature = "rt")]
pub use task::spawn;
