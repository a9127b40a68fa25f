//! The locks with waiters, and the deadlocks, for the HTML page.

use super::conditions::{self, Condition, Step};
use super::held_locks::wait;
use super::lock_table::LockTable;
use crate::registry::locks::Who;
use crate::snapshot::locks::{self, Lock};
use crate::snapshot::tasks::Row;
use runtime_dump::source_path::shortened;
use std::collections::HashMap;

/// A cycle.
pub(crate) struct Cycle<'l> {
    pub(crate) steps: Vec<Step<'l>>,
    /// How many wait behind the cycle, directly or not: `"9 wait"`.
    pub(crate) behind: Option<String>,
}

/// A lock.
pub(crate) struct LockCard {
    /// `Mutex<shop::Stock>`.
    pub(crate) type_name: String,
    pub(crate) created: Option<String>,
    /// `"held by goroutine 431 since 2.1s"`.
    pub(crate) whose: String,
    /// The place where the holder is now.
    pub(crate) holder_at: Option<String>,
    pub(crate) waiting: String,
    pub(crate) longest_ns: u64,
    /// Waits for the lock that have ended.
    pub(crate) ended: Option<String>,
    /// The waiters by place, the largest group first.
    pub(crate) places: Vec<(String, Vec<String>)>,
}

impl LockTable {
    /// The deadlocks.
    pub(crate) fn cycles(&self) -> Vec<Cycle<'_>> {
        let conditions = self.0.conditions.iter();
        conditions
            .filter_map(|condition| match condition {
                Condition::Deadlock { deadlock, taken_at } => Some(Cycle {
                    steps: conditions::steps(deadlock, taken_at),
                    behind: Some(deadlock.behind.len()).filter(|all| *all > 0).map(wait),
                }),
                _ => None,
            })
            .collect()
    }

    /// The locks, the one with the longest wait first.
    pub(crate) fn cards(&self) -> Vec<LockCard> {
        let rows: HashMap<u64, &Row> = self.0.tasks.rows.iter().map(|row| (row.id, row)).collect();
        let locks = self.0.locks.all().iter();
        locks.map(|lock| self.card(lock, &rows)).collect()
    }

    fn card(&self, lock: &Lock, rows: &HashMap<u64, &Row>) -> LockCard {
        let created = lock.created();
        LockCard {
            type_name: lock.type_name(),
            created: created.map(|at| format!("{}:{}", shortened(at.file()), at.line())),
            whose: self.0.locks.whose(lock, |tid| self.0.thread_of(tid)),
            holder_at: match lock.holder {
                Who::Task(id) => rows.get(&id).map(|row| self.place(row)),
                _ => None,
            },
            waiting: wait(lock.waiters.len()),
            longest_ns: lock.longest_ns(),
            ended: Self::ended(lock),
            places: self.by_place(lock, rows),
        }
    }

    /// How many waiters are not shown, because there were too many at once.
    pub(crate) fn missed() -> u64 {
        locks::missed()
    }
}
