//! Waiting tasks, and which of them were not polled since.

use super::tasks::{Row, StackKey, State, Tasks, foreign_running, known};
use crate::registry::slab;
use crate::registry::task::Kind;
use crate::registry::threads;
use runtime_dump_decode::numbers::Sorted;

/// The count of polls of each task, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unpolled(Sorted<u64>);

impl Unpolled {
    /// The foreign tasks of a snapshot that wait or are ready.
    pub(crate) fn foreign(tasks: &Tasks) -> Self {
        Self::of(rows_with(tasks, |key| {
            key.kind == Kind::Foreign && matches!(key.state, State::Waiting | State::Runnable)
        }))
    }

    /// All waiting tasks of a snapshot.
    pub(crate) fn waiting(tasks: &Tasks) -> Self {
        Self::of(waiting(tasks))
    }

    fn of<'t>(rows: impl Iterator<Item = &'t Row>) -> Self {
        Self(Sorted::of(rows.map(|row| (row.id, row.polls)).collect()))
    }

    /// The number of waiting tasks of a snapshot.
    pub(crate) fn count_waiting(tasks: &Tasks) -> usize {
        waiting(tasks).count()
    }

    /// With the tasks of another one.
    pub(crate) fn and(&self, others: &Unpolled) -> Self {
        Self(Sorted::of(
            self.0.iter().chain(others.0.iter()).copied().collect(),
        ))
    }

    /// Only the tasks with these ids.
    pub(crate) fn only(&self, ids: impl Iterator<Item = u64>) -> Self {
        let ids = ids.filter_map(|id| Some((id, *self.0.get(id)?)));
        Self(Sorted::of(ids.collect()))
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(id, _)| *id)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The tasks that have not been polled since and are not being polled.
    pub(crate) fn still(&self) -> Self {
        // At the end of a poll, the record counts it before the thread removes its mark, so marks are read first.
        let running = foreign_running(&threads::alive());
        let mut still = Vec::with_capacity(self.0.len());
        slab::for_each(|record| {
            if let Some(view) = known(record)
                && !view.polling
                && self.0.get(view.id) == Some(&view.polls)
                && !running.contains_key(&view.id)
            {
                still.push((view.id, view.polls));
            }
        });
        Self(Sorted::of(still))
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.0.contains(id)
    }
}

/// The tasks of a snapshot that run or are ready, except for those in `known`.
pub(crate) fn polled_or_ready(tasks: &Tasks, known: &Unpolled) -> impl Iterator<Item = u64> {
    let rows = rows_with(tasks, |key| {
        matches!(key.state, State::Running | State::Runnable) && is_task(key)
    });
    let ids = rows.map(|row| row.id);
    ids.filter(|id| !known.contains(*id))
}

fn waiting(tasks: &Tasks) -> impl Iterator<Item = &Row> {
    rows_with(tasks, |key| key.state == State::Waiting && is_task(key))
}

fn rows_with(tasks: &Tasks, is_wanted: fn(&StackKey) -> bool) -> impl Iterator<Item = &Row> {
    let rows = tasks.rows.iter();
    rows.filter(move |row| is_wanted(&tasks.stack_keys[row.stack_key as usize]))
}

/// Whether tokio polls it as a task.
fn is_task(key: &StackKey) -> bool {
    matches!(key.kind, Kind::Task | Kind::Local | Kind::Foreign)
}
