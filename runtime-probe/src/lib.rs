//! `net/http/pprof` for tokio.

// The probe's own layers, each knowing only those above it in this list. ARCHITECTURE.md has the reading path.
mod clock;
mod primitive;
mod sys;
mod stack;
mod registry;
mod source;
mod snapshot;
mod symbol;
mod profile;
pub mod pprof;
mod http;

// The tokio-shaped facade.
pub use tokio::*;

#[cfg(feature = "rt")]
pub mod runtime;
#[cfg(feature = "rt")]
pub mod task;

#[cfg(feature = "rt")]
pub use task::spawn;
