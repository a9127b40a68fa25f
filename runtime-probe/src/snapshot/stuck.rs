//! Where threads are that sleep in the kernel, with the polls that they are in the middle of.

use super::tasks::Tasks;
use crate::ask::asking::Asking;
use crate::ask::thread_stack::Capture;
use crate::registry::task::Kind;
use crate::sys::own_thread;
use crate::sys::thread_status::{self, Activity, ThreadStatus};
use std::collections::HashMap;
use std::time::Duration;

/// How long all threads have together.
const ALL: Duration = Duration::from_secs(1);

/// A thread that sleeps.
#[derive(Debug)]
pub(crate) struct Asleep {
    pub(crate) stack: Capture,
    /// Of the task or closure that the thread is in the middle of.
    pub(crate) within: Option<Within>,
}

/// What a thread is in the middle of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    /// Nanoseconds since the poll, or the closure, began.
    pub(crate) since_ns: u64,
    /// A closure of the blocking pool, which keeps no worker from others.
    pub(crate) is_closure: bool,
}

/// Asks all threads that sleep, but the probe's own. A poll that began after `tasks` was taken is not known.
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
            // The outermost: futures that are wrapped inside a task are a part of its poll.
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
