//! Notes on tasks that wait for the end of other tasks.

use super::doing::Doing;
use super::held_locks::{goroutine, name};
use super::selection::grouped;
use crate::snapshot::joins::{End, Joining, Joins};
use crate::snapshot::tasks::{Row, Tasks};
use crate::symbol::reason::Reason;
use runtime_dump::goroutine::{Join, JoinedTask};
use std::collections::{HashMap, HashSet};

/// The most tasks of a `JoinSet` that are named.
const MOST_NAMED: usize = 5;

/// The joins, with the names of the awaited tasks.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    joins: Joins,
    /// Names of the awaited tasks that have one.
    names: HashMap<u64, String>,
}

impl Awaited {
    pub(super) fn of(joins: Joins, tasks: &Tasks) -> Self {
        let ends = joins.0.values().flat_map(Joining::ends);
        let named = ends.flat_map(|end| match end {
            End::Of(id) => std::slice::from_ref(id),
            End::OfAny { tasks, .. } => &tasks[..tasks.len().min(MOST_NAMED)],
        });
        let named: HashSet<u64> = named.copied().collect();
        let names = match named.is_empty() {
            true => HashMap::new(),
            false => {
                let rows = tasks.rows.iter().filter(|row| named.contains(&row.id));
                rows.filter_map(|row| Some((row.id, name(tasks, row)?)))
                    .collect()
            }
        };
        Awaited { joins, names }
    }

    /// The notes on a task.
    pub(super) fn notes(&self, row: &Row, doing: &Doing) -> Vec<String> {
        match self.joins.0.is_empty() {
            true => Vec::new(),
            false => self.joins(row, doing).iter().map(text).collect(),
        }
    }

    /// The ends that a task waits for. Of a `JoinSet` the first tasks are named.
    pub(super) fn joins(&self, row: &Row, doing: &Doing) -> Vec<Join> {
        let joining = self.joins.0.get(&row.id);
        let joining = joining.filter(|joining| joining.poll == row.polls && is_of(joining, doing));
        let ends = joining.into_iter().flat_map(Joining::ends);
        ends.map(|end| self.join(end)).collect()
    }

    fn join(&self, end: &End) -> Join {
        let (members, known) = match end {
            End::Of(id) => (None, std::slice::from_ref(id)),
            End::OfAny { members, tasks, .. } => (Some(*members as u64), &tasks[..]),
        };
        let tasks = known.iter().take(MOST_NAMED).map(|id| JoinedTask {
            id: *id,
            name: self.names.get(id).cloned(),
        });
        Join {
            members,
            tasks: tasks.collect(),
        }
    }
}

/// The note of a join, which [`runtime_dump::parse::joins`] parses.
fn text(join: &Join) -> String {
    let tasks = join.tasks.iter();
    let mut named: Vec<String> = tasks
        .map(|task| goroutine(task.id, task.name.as_deref()))
        .collect();
    let Some(members) = join.members else {
        return format!("waits for {} to end", named.join(", "));
    };
    let more = members.saturating_sub(named.len() as u64);
    if more > 0 {
        named.push(format!("{} more", grouped(more)));
    }
    let of = match members {
        1 => "the task of a JoinSet".to_owned(),
        _ => format!("one of {} tasks of a JoinSet", grouped(members)),
    };
    format!("waits for {of} to end: {}", named.join(", "))
}

/// Whether the joins explain the task's stack: each registration is a wait, and at least as many of them are joins as
/// there are awaited ends. Otherwise a handle may have registered that the task does not wait for any more.
fn is_of(joining: &Joining, doing: &Doing) -> bool {
    let (all, joins) = match &doing.branches[..] {
        [] => (1, usize::from(doing.waits_for(Reason::Join))),
        branches => {
            let joins = branches.iter().filter(|reason| **reason == Reason::Join);
            (branches.len(), joins.count())
        }
    };
    joining.registered == all + usize::from(doing.deadline.is_some())
        && joining.ends().count() <= joins
}
