//! The number of tasks that tokio counts and no dump lists: tasks that dependencies spawn through plain tokio, if hooks
//! do not report them.
//!
//! tokio's count and the records are not read at one moment, and a number that is too high would be worse than none. So
//! the result is a lower bound:
//!
//! * Every record that may be of a task in tokio's count is subtracted, also that of a task that is being spawned, that
//!   was not polled yet (so its runtime is not known), or whose future has returned (tokio still counts it).
//! * Every task that ended during the walk is subtracted, too: the walk may have missed it.
//! * One task is subtracted for each thread that may be about to remove a task from tokio's list.
//! * A small number is looked at again: tokio counts a foreign task before it runs our hook, and the thread may lose its
//!   CPU in between.

use crate::registry::runtimes::RuntimeNumber;
use crate::registry::task::Kind;
use crate::registry::{slab, threads};
use crate::source::metrics::{self, Alive};
use crate::tally::task_times::TASKS;
use std::time::Duration;

/// So many threads may be spawning at once.
const MOST_SPAWNING: u64 = 64;
/// The looks at a small number, and the time between two.
const LOOKS: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(3);

/// The least number of tasks that are not listed. Runtimes that no type of ours holds are not counted. Takes up to
/// 10 ms longer if there are a few.
pub(crate) fn count() -> u64 {
    let mut least = look();
    for _ in 1..LOOKS {
        if least == 0 || least > MOST_SPAWNING {
            break;
        }
        std::thread::sleep(BETWEEN);
        least = least.min(look());
    }
    least
}

/// The same by one look. A task that is just being spawned may count.
pub(crate) fn look() -> u64 {
    // The order matters: a task that ended before the first line is in `finishing`, or has left tokio's list.
    let ended_before = ended();
    let finishing = threads::finishing();
    let held = metrics::alive();
    let counted: u64 = held.iter().map(|runtime| runtime.tasks).sum();
    if counted == 0 {
        return 0;
    }
    let mut listed = 0;
    slab::for_each(|record| {
        if let Some((kind, runtime)) = record.owner()
            && may_be_counted(kind, runtime, &held)
        {
            listed += 1;
        }
    });
    let ended = ended().saturating_sub(ended_before);
    counted.saturating_sub(listed + ended + finishing)
}

/// How many tasks have ended, of the kinds that tokio counts.
fn ended() -> u64 {
    TASKS.ended(|kind| {
        Kind::of(kind).is_none_or(|kind| matches!(kind, Kind::Task | Kind::Local | Kind::Foreign))
    })
}

/// Whether tokio's count of one of these runtimes may include the task.
fn may_be_counted(kind: Kind, runtime: RuntimeNumber, held: &[Alive]) -> bool {
    let by = held.iter().find(|alive| alive.runtime == runtime);
    let is_unknown = runtime == RuntimeNumber::default();
    match kind {
        Kind::Task | Kind::Foreign => is_unknown || by.is_some(),
        // A `LocalSet` has a separate list.
        Kind::Local => is_unknown || by.is_some_and(|alive| alive.is_local),
        Kind::BlockOn | Kind::Nested | Kind::Blocking => false,
    }
}
