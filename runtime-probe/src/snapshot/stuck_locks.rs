//! Deadlocks and futurelocks, from one copy of locks, joins and tasks.

use super::deadlocks::{self, Deadlock};
use super::futurelocks::{self, Futurelock};
use super::joins::Joins;
use super::locks::Locks;
use super::tasks::Tasks;
use crate::clock::Scale;
use std::time::Instant;

/// The deadlocks, the possible deadlocks and the futurelocks of a copy.
#[derive(Debug, Default)]
pub(crate) struct StuckLocks {
    pub(crate) deadlocks: Vec<Deadlock>,
    /// Cycles over a guard that may have been moved out of them.
    pub(crate) possible: Vec<Deadlock>,
    pub(crate) futurelocks: Vec<Futurelock>,
}

impl StuckLocks {
    /// The deadlocks and futurelocks of now. Copies the tasks only if locks and joins leave a doubt.
    pub(crate) fn now() -> StuckLocks {
        let (locks, joins) = (Locks::take(&Scale::now()), Joins::take());
        if !deadlocks::may_be_in(&locks, &joins) && !futurelocks::may_be_in(&locks) {
            return StuckLocks::default();
        }
        let tasks = Tasks::take();
        let locks = Locks::take(&tasks.scale);
        StuckLocks::of(&tasks, &locks, &Joins::take())
    }

    /// The deadlocks and futurelocks of copies. MUST: the copy of the tasks was taken first. Otherwise a waiter that
    /// took its lock in between looks like one that was polled and did not take it.
    pub(crate) fn of(tasks: &Tasks, locks: &Locks, joins: &Joins) -> StuckLocks {
        let cycles = deadlocks::of(tasks, locks, joins);
        StuckLocks {
            deadlocks: cycles.certain,
            possible: cycles.possible,
            futurelocks: futurelocks::of(tasks, locks),
        }
    }
}

/// Repeats the search, in a hundredth of the time at most: joins are read from the memory of all tasks.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    due: Option<Instant>,
    last: StuckLocks,
}

impl Paced {
    /// The deadlocks and futurelocks of now, or of a short while ago.
    pub(crate) fn look(&mut self) -> &StuckLocks {
        let began = Instant::now();
        if self.due.is_none_or(|due| began >= due) {
            self.last = StuckLocks::now();
            let now = Instant::now();
            self.due = Some(now + 100 * (now - began));
        }
        &self.last
    }
}
