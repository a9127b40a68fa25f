//! Futurelocks: locks that were granted to a task through a future that the task no longer polls. Such a lock has no
//! holder, and its first waiter does not take it, though the waiter's task has been polled since.
//!
//! A lock on its way to the next waiter looks the same until the ready task is polled, and a poll that still runs may
//! yet reach the future. So the lock must have been free for [`HANDED_OVER_NS`], and a poll that did not take it must
//! have ended.

use super::locks::{Lock, LockNumber, Locks, Waiter};
use super::tasks::{Row, State, Tasks};
use crate::registry::locks::Who;
use crate::stack::wait_set::WaitSet;
use std::collections::HashMap;
use std::panic::Location;

/// A healthy waiter takes a granted lock, or granted permits, within this time.
pub(crate) const HANDED_OVER_NS: u64 = 100_000_000;

/// A lock that its grantee does not take.
#[derive(Debug)]
pub(crate) struct Futurelock {
    /// The task that the lock was granted to.
    pub(crate) task: u64,
    /// The type of the task's future, if the task is listed.
    pub(crate) type_name: Option<&'static str>,
    pub(crate) number: LockNumber,
    pub(crate) lock: String,
    pub(crate) created: Option<&'static Location<'static>>,
    /// Permits of a semaphore were granted, not a lock.
    pub(crate) is_of_permits: bool,
    pub(crate) since_ns: u64,
    /// Where the future that it was granted to waited.
    pub(crate) waits: Option<&'static WaitSet>,
    /// How many other waiters there are.
    pub(crate) behind: usize,
}

/// Whether there may be a futurelock: cheap, and false for most programs at most moments.
pub(super) fn may_be_in(locks: &Locks) -> bool {
    locks.0.iter().any(|lock| given_to(lock).is_some())
}

/// The futurelocks in copies. MUST: the copy of the tasks was taken first.
pub(super) fn of(tasks: &Tasks, locks: &Locks) -> Vec<Futurelock> {
    let given: Vec<_> = locks.0.iter().filter_map(given_to).collect();
    if given.is_empty() {
        return Vec::new();
    }
    let rows: HashMap<u64, &Row> = tasks.rows.iter().map(|row| (row.id, row)).collect();
    let found = given.into_iter().filter_map(
        |Given {
             lock,
             task,
             since_ns,
             first,
         }| {
            let row = rows.get(&task)?;
            let key = &tasks.stack_keys[row.stack_key as usize];
            let ended = match key.state {
                State::Running => row.polls.saturating_sub(1),
                _ => row.polls,
            };
            (ended > first.poll).then(|| Futurelock {
                task,
                type_name: key.meta.map(|meta| meta.type_name()),
                number: lock.number,
                lock: lock.type_name(),
                created: lock.created(),
                is_of_permits: lock.permits.is_some(),
                since_ns,
                waits: first.waits,
                behind: lock.waiters.len() - 1,
            })
        },
    );
    found.collect()
}

/// A free lock, and the task that has to take it.
struct Given<'l> {
    lock: &'l Lock,
    task: u64,
    since_ns: u64,
    first: Waiter,
}

fn given_to(lock: &Lock) -> Option<Given<'_>> {
    let first = *lock.waiters.first()?;
    let since_ns = lock.since_ns.filter(|ns| *ns > HANDED_OVER_NS)?;
    match first.who {
        // `OnceCell`s are excluded: a waiter for a finished value blocks no other.
        Who::Task(task) if lock.is_free() && first.poll != 0 && !lock.what.is_once => Some(Given {
            lock,
            task,
            since_ns,
            first,
        }),
        _ => None,
    }
}
