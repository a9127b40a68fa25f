//! Locks that nothing gets any more: cycles, those of joins among them, and those that were given to a future which is not polled. One copy tells both.

use super::deadlocks::{self, Deadlock};
use super::futurelocks::{self, Futurelock};
use super::joins::Joins;
use super::locks::Locks;
use super::tasks::Tasks;
use crate::clock::Scale;
use std::time::Instant;

/// Those of a copy.
#[derive(Debug, Default)]
pub(crate) struct StuckLocks {
    pub(crate) deadlocks: Vec<Deadlock>,
    pub(crate) futurelocks: Vec<Futurelock>,
}

impl StuckLocks {
    /// Those of now. Where tasks are is looked at only where locks and joins leave a doubt.
    pub(crate) fn now() -> StuckLocks {
        let (locks, joins) = (Locks::take(&Scale::now()), Joins::take());
        if !deadlocks::may_be_in(&locks, &joins) && !futurelocks::may_be_in(&locks) {
            return StuckLocks::default();
        }
        let tasks = Tasks::take();
        let locks = Locks::take(&tasks.scale);
        StuckLocks::of(&tasks, &locks, &Joins::take())
    }

    /// Those of copies. MUST: that of the tasks was taken first, so that what had been polled by then has not fetched its lock later.
    pub(crate) fn of(tasks: &Tasks, locks: &Locks, joins: &Joins) -> StuckLocks {
        StuckLocks {
            deadlocks: deadlocks::of(tasks, locks, joins),
            futurelocks: futurelocks::of(tasks, locks),
        }
    }
}

/// The same again and again, for a hundredth of the time at most: who joins whom is read from the memory of all tasks.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    due: Option<Instant>,
    last: StuckLocks,
}

impl Paced {
    /// Those of now, or of a short while ago.
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
