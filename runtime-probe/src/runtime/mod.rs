//! [`tokio::runtime`], with all functions that start tasks instrumented. Other items are tokio's own.

mod builder;
mod handle;
mod local_runtime;
#[expect(clippy::module_inception, reason = "the file is named as its type")]
mod runtime;

pub use builder::Builder;
pub use handle::Handle;
pub use local_runtime::LocalRuntime;
pub use runtime::Runtime;
pub use tokio::runtime::*;

use crate::registry::task::Kind;
use crate::source::instrumented::Instrumented;
use crate::source::{own_id, spawn_here};
use std::future::Future;

/// The root of a `block_on`, as a task of its own.
#[inline(always)]
#[track_caller]
fn root<F: Future>(future: F) -> Instrumented<F> {
    Instrumented::new(Kind::BlockOn, own_id(), Some(spawn_here()), future)
}
