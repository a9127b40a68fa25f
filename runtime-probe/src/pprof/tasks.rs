//! Live tasks, and the futures that are listed as tasks.

use crate::registry::task::Kind;
use crate::snapshot::facts;
use crate::source;
use std::future::Future;

pub use crate::snapshot::facts::{TaskFacts, TaskId, TaskKind, TaskState};
pub use crate::source::instrumented::Instrumented;

/// All live tasks, in no particular order, with the facts of a dump but without stacks: for tools that show tasks in
/// their own way. Nothing is stopped and no task is disturbed. Costs some 100 ns and 200 bytes a task, on the calling
/// thread.
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

/// Runs `run` with this thread left out of the probe. Tasks that are spawned on it meanwhile, its `block_on` and the
/// runtimes that it builds are listed nowhere, and cost what they cost with plain tokio. This is for tools that observe
/// the program from a thread of their own. A `current_thread` runtime inside `run` is left out completely; of a
/// `multi_thread` runtime the workers are left out, too. Tasks that another thread spawns on such a runtime are listed.
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

/// Wraps a future so that it is an entry of its own in a dump. This is for futures that run inside another task (in a
/// `FuturesUnordered`, whose children have wakers of their own) or on another executor. The wrapper behaves as `future`
/// does. Spawned tasks need no wrapping.
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
