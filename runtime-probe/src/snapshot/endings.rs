//! Runtimes that are being dropped, and the threads that still run in them.

use super::under_way::UnderWay;
use crate::ask::asking::Asking;
use crate::ask::thread_stack::Capture;
use crate::clock::Scale;
use crate::primitive::Ordering;
use crate::registry::endings;
use crate::registry::threads::{self, Role, Thread};
use std::sync::Arc;
use std::time::Duration;

/// The time limit for the stacks of all threads.
const ALL: Duration = Duration::from_millis(500);

/// A runtime whose end a thread waits for.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) name: Arc<str>,
    pub(crate) since: Duration,
    /// The waiting thread.
    pub(crate) thread: Option<Thread>,
    /// The runtime's threads that have not ended.
    pub(crate) left: Vec<Left>,
}

/// A thread of such a runtime.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) thread: Thread,
    /// The task or closure that it runs.
    pub(crate) task: Option<u64>,
    pub(crate) stack: Option<Capture>,
}

/// All runtimes that are being dropped.
pub(crate) fn now(under_way: &[UnderWay]) -> Vec<Ending> {
    let endings = endings::under_way();
    if endings.is_empty() {
        return Vec::new();
    }
    let scale = Scale::now();
    let alive = threads::alive();
    let mut asking = Asking::within(ALL);
    let all = endings.into_iter().map(|ending| {
        let number = u32::from(ending.runtime.0);
        let of_it = alive.iter().filter(|(at, (_, slot))| {
            let works = slot.role() != Role::Other && **at != ending.thread.0;
            works && number != 0 && slot.runtime.load(Ordering::Relaxed) == number
        });
        let mut left: Vec<Left> = of_it
            .map(|(at, (thread, _))| Left {
                thread: thread.clone(),
                task: under_way
                    .iter()
                    .find(|one| one.thread.is_some_and(|thread| thread.0 == *at))
                    .map(|one| one.id),
                stack: asking.capture(thread.tid).ok(),
            })
            .collect();
        left.sort_by_key(|left| left.thread.tid);
        Ending {
            name: ending.name.clone(),
            since: Duration::from_nanos(scale.since(ending.since)),
            thread: ending.waits_on(),
            left,
        }
    });
    all.collect()
}
