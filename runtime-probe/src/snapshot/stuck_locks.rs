//! Locks that nothing gets any more: cycles, and those that were given to a future which is not polled. One copy tells both.

use super::deadlocks::{self, Deadlock};
use super::futurelocks::{self, Futurelock};
use super::locks::Locks;
use super::tasks::Tasks;
use crate::clock::Scale;

/// Those of a copy.
#[derive(Debug, Default)]
pub(crate) struct StuckLocks {
    pub(crate) deadlocks: Vec<Deadlock>,
    pub(crate) futurelocks: Vec<Futurelock>,
}

impl StuckLocks {
    /// Those of now. Tasks are looked at only where the locks leave a doubt.
    pub(crate) fn now() -> StuckLocks {
        let locks = Locks::take(&Scale::now());
        if !deadlocks::may_be_in(&locks) && !futurelocks::may_be_in(&locks) {
            return StuckLocks::default();
        }
        let tasks = Tasks::take();
        let locks = Locks::take(&tasks.scale);
        StuckLocks::of(&tasks, &locks)
    }

    /// Those of copies. MUST: that of the tasks was taken first, so that what had been polled by then has not fetched its lock later.
    pub(crate) fn of(tasks: &Tasks, locks: &Locks) -> StuckLocks {
        StuckLocks {
            deadlocks: deadlocks::of(tasks, locks),
            futurelocks: futurelocks::of(tasks, locks),
        }
    }
}
