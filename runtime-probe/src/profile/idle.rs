//! Why a ready task is not polled: no thread may run its `LocalSet`, or its `current_thread` runtime.

use crate::clock::Scale;
use crate::registry::local_sets::{self, Polled};
use crate::registry::runtimes::{self, Idle, RuntimeNumber};
use crate::registry::task::Waking;
use crate::registry::threads::{self, ThreadNumber};
use std::time::Duration;

/// A shorter time is normal.
const LEAST: Duration = Duration::from_millis(100);

/// A sentence about a `LocalSet`; `None` if it was polled within [`LEAST`]. `thread` gives the name of a thread.
pub(super) fn set(
    polled: Polled,
    scale: &Scale,
    thread: impl FnOnce(ThreadNumber) -> String,
) -> Option<String> {
    let ago = |stamp| Duration::from_nanos(scale.since(stamp));
    let (Polled::Never { since } | Polled::Now { since } | Polled::Last { since, .. }) = polled;
    let since = Some(ago(since)).filter(|since| *since >= LEAST)?;
    Some(match polled {
        Polled::Never { .. } => {
            format!("its LocalSet is not being polled since {since:.1?}, when it was made")
        }
        Polled::Now { .. } => format!("its LocalSet has been in one poll for {since:.1?}"),
        Polled::Last { by, .. } => {
            let by = match by {
                Waking::Task(id) => format!("goroutine {id}"),
                Waking::Thread(number) => thread(number),
                Waking::Unknown => "a thread".to_owned(),
            };
            format!("its LocalSet is not being polled since {since:.1?}, last by {by}")
        }
    })
}

/// A sentence about the set or the runtime of a task, as of now.
pub(crate) fn now(local_set: u32, runtime: RuntimeNumber) -> Option<String> {
    let scale = Scale::now();
    let thread = |number: ThreadNumber| match threads::alive().remove(&number.0) {
        Some((thread, _)) => format!("thread {} ({})", thread.tid, thread.name),
        None => "a thread that has ended".to_owned(),
    };
    let polled = local_sets::all().remove(&local_set);
    polled
        .and_then(|polled| set(polled, &scale, thread))
        .or_else(|| self::runtime(runtimes::listed(runtime)?.idle()?, &scale, thread))
}

/// A sentence about a `current_thread` runtime.
pub(super) fn runtime(
    idle: Idle,
    scale: &Scale,
    thread: impl FnOnce(ThreadNumber) -> String,
) -> Option<String> {
    let since = Duration::from_nanos(scale.since(idle.since));
    (since >= LEAST).then(|| {
        format!(
            "its runtime has one thread and is in no block_on since {since:.1?}, last by {}",
            thread(idle.last)
        )
    })
}
