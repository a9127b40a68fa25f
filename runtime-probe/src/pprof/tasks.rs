//! Tasks that are alive, and which futures are listed as such.

use crate::registry::task::Kind;
use crate::snapshot::facts;
use crate::source;
use std::future::Future;

pub use crate::snapshot::facts::{TaskFacts, TaskId, TaskKind, TaskState};
pub use crate::source::instrumented::Instrumented;

/// All tasks that are alive, in no particular order: what a dump tells of each, without its stack, for tools that show it in
/// their own way. Nothing is stopped and no task is disturbed; costs some 100 ns a task on the calling thread, and 200 bytes
/// of memory.
///
/// ```
/// use runtime_probe::pprof::{self, TaskState};
///
/// # #[cfg(feature = "rt")]
/// runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
///     let task = runtime_probe::spawn(std::future::pending::<()>());
///     runtime_probe::task::yield_now().await;
///     let of_it = |facts: &pprof::TaskFacts| facts.id == task.id();
///     let facts = pprof::task_facts().into_iter().find(of_it).unwrap();
///     assert_eq!((facts.state, facts.polls), (TaskState::Waiting, 1));
/// });
/// ```
pub fn task_facts() -> Vec<TaskFacts> {
    facts::take()
}

/// Runs `run` with this thread left out: what is spawned on it meanwhile, its `block_on` and the runtimes that are built
/// have no entry anywhere, and cost what they cost with plain tokio. For tools that look at the program from a thread of
/// their own, and are no part of it; a `current_thread` runtime that lives inside `run` is left out as a whole, and of
/// another one the workers, too. What a thread that is not left out spawns on such a runtime is listed.
///
/// From the first call in a process on, each spawn of any thread costs some ten instructions more; a poll costs nothing more.
///
/// ```
/// use runtime_probe::pprof;
///
/// # #[cfg(feature = "rt")]
/// pprof::untracked(|| {
///     let runtime = runtime_probe::runtime::Builder::new_current_thread().build().unwrap();
///     runtime.block_on(async {
///         let task = runtime_probe::spawn(std::future::pending::<()>());
///         assert!(pprof::task_facts().iter().all(|facts| facts.id != task.id()));
///     });
/// });
/// ```
pub fn untracked<R>(run: impl FnOnce() -> R) -> R {
    source::untracked::untracked(run)
}

/// Wraps a future so that it is an entry of its own in a dump: one that runs inside another task (in a
/// `FuturesUnordered`, whose children have wakers of their own), or on another executor. Polls, wakes and results are
/// those of `future`. Spawned tasks need no wrapping.
///
/// ```
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(runtime_probe::pprof::instrument(async { 42 }).await, 42);
/// # })
/// ```
#[inline(always)]
#[track_caller]
pub fn instrument<F: Future>(future: F) -> Instrumented<F> {
    Instrumented::new(
        Kind::Nested,
        source::own_id(),
        Some(source::spawn_here()),
        future,
    )
}
