//! How many tasks tokio counts that no dump lists: what dependencies spawn through plain tokio, where nothing tells of it.
//!
//! tokio's count and the records are not of one moment, and a number that is not so would be worse than none. So what is
//! counted is what there are at least:
//!
//! * Every record that may stand for a task of tokio's count is subtracted: one that is being spawned, one that was not
//!   polled yet, so that its runtime is not known, and one whose future has returned, as tokio still counts it.
//! * So is every task that ended during the walk, which may have come too late for it.
//! * So is one task for each thread that may be about to take one off tokio's list.

use crate::registry::runtimes::RuntimeNumber;
use crate::registry::task::Kind;
use crate::registry::{slab, threads};
use crate::source::metrics::{self, Alive};
use crate::tally::task_times::TASKS;

/// How many tasks are not listed, at least. Nothing is known of runtimes that no type of ours holds.
pub(crate) fn count() -> u64 {
    // In this order: a task that ended before the first line is in the second, or has left tokio's list.
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

/// How many tasks of the kinds that tokio counts have ended.
fn ended() -> u64 {
    TASKS.ended(|kind| {
        Kind::of(kind).is_none_or(|kind| matches!(kind, Kind::Task | Kind::Local | Kind::Foreign))
    })
}

/// Whether tokio's count of one of these runtimes may have the task in it.
fn may_be_counted(kind: Kind, runtime: RuntimeNumber, held: &[Alive]) -> bool {
    let by = held.iter().find(|alive| alive.runtime == runtime);
    let is_unknown = runtime == RuntimeNumber::default();
    match kind {
        Kind::Task | Kind::Foreign => is_unknown || by.is_some(),
        // A `LocalSet` has a list of its own.
        Kind::Local => is_unknown || by.is_some_and(|alive| alive.is_local),
        Kind::BlockOn | Kind::Nested | Kind::Blocking => false,
    }
}
