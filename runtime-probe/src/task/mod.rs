//! [`tokio::task`], with everything that starts a task instrumented. All other items are tokio's own.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # runtime_probe::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let answer = runtime_probe::task::spawn(async { 42 }).await;
//! assert_eq!(answer.ok(), Some(42));
//! # }); Ok(()) }
//! ```

mod builder;
mod id;
pub mod join_set;
mod local;
pub(crate) mod spawning;

pub use builder::Builder;
pub use join_set::JoinSet;
pub use local::{LocalSet, spawn_local};
pub use tokio::task::*;

#[cfg(feature = "rt-multi-thread")]
use crate::source::trace::in_place;
use std::future::Future;

/// [`tokio::task::spawn`], instrumented: the same task, id, results and panics. Costs a record of 144 bytes and about
/// 50 ns more.
///
/// # Panics
/// As tokio's: outside of a runtime.
#[inline(always)]
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawning::spawn!(Task, future, |future| tokio::task::spawn(future))
}

/// [`tokio::task::spawn_blocking`], instrumented.
///
/// # Panics
/// As tokio's: outside of a runtime.
#[inline(always)]
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    spawning::spawn_blocking!(f, |f| tokio::task::spawn_blocking(f))
}

/// [`tokio::task::block_in_place`]. A dump goes on to show the task as running: it runs the closure. An execution trace
/// shows a system call.
///
/// # Panics
/// As tokio's: on a current-thread runtime.
#[cfg(feature = "rt-multi-thread")]
#[inline(always)]
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    tokio::task::block_in_place(in_place(f))
}
