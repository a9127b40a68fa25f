//! Stacks of threads that sleep in the kernel, with the polls that they are in.

use super::tasks::Tasks;
use crate::ask::asking::Asking;
use crate::ask::thread_stack::Capture;
use crate::registry::task::Kind;
use crate::sys::own_thread;
use crate::sys::thread_status::{self, Activity, ThreadStatus};
use std::collections::HashMap;
use std::time::Duration;

/// The time limit for the stacks of all threads.
const ALL: Duration = Duration::from_secs(1);

/// A sleeping thread.
#[derive(Debug)]
pub(crate) struct Asleep {
    pub(crate) stack: Capture,
    /// The poll or closure that the thread is in.
    pub(crate) within: Option<Within>,
}

/// The poll or closure that a thread is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    /// Nanoseconds since the poll, or the closure, began.
    pub(crate) since_ns: u64,
    /// Whether it is a closure of the blocking pool, which blocks no worker.
    pub(crate) is_closure: bool,
}

/// Asks all sleeping threads but the probe's own. Polls that began after `tasks` was taken are not known.
pub(crate) fn threads(tasks: &Tasks) -> Vec<Asleep> {
    let mut asking = Asking::within(ALL);
    let mut rows = HashMap::new();
    for row in &tasks.rows {
        rows.insert((row.id, row.polls), row);
    }
    let sleeps = |id: &u32| {
        ThreadStatus::of(*id).is_some_and(|status| status.activity == Activity::Sleeping)
    };
    let asked = thread_status::ids()
        .into_iter()
        .filter(|id| !own_thread::is(*id) && sleeps(id));
    asked
        .filter_map(|id| {
            let stack = asking.capture(id).ok()?;
            // The outermost poll is the task's: nested futures belong to it.
            let within = stack.polls.last().and_then(|poll| {
                let row = rows.get(&(poll.id, poll.poll))?;
                Some(Within {
                    since_ns: row.since_ns,
                    is_closure: tasks.stack_keys[row.stack_key as usize].kind == Kind::Blocking,
                })
            });
            Some(Asleep { stack, within })
        })
        .collect()
}
