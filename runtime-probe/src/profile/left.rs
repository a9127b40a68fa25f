//! Tasks that a leak check finds.

use super::goroutine::Goroutines;
use super::goroutine_forms::Lines;
use super::selection::Selection;
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::task::Kind;
use crate::snapshot::tasks::{Row, Tasks};
use std::collections::HashSet;
use std::panic::Location;

/// The ids of all tasks.
pub(crate) fn alive() -> HashSet<u64> {
    Tasks::take().rows.iter().map(|row| row.id).collect()
}

/// The properties of a task that a leak check filters by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left<'a> {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) runtime: RuntimeNumber,
    /// The type of its future; empty if it is not known.
    pub(crate) type_name: &'a str,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
}

/// How many of these tasks there are.
pub(crate) fn count_left(is_left: impl Fn(Left<'_>) -> bool) -> usize {
    let tasks = Tasks::take();
    let rows = tasks.rows.iter();
    rows.filter(|row| is_left(left(&tasks, row))).count()
}

/// A dump of these tasks.
pub(crate) fn dump_left(is_left: impl Fn(Left<'_>) -> bool) -> String {
    let mut goroutines = Goroutines::collect(Selection::default());
    let mut rows = std::mem::take(&mut goroutines.tasks.rows);
    rows.retain(|row| is_left(left(&goroutines.tasks, row)));
    goroutines.tasks.rows = rows;
    goroutines.all = goroutines.tasks.rows.len();
    goroutines.unlisted = 0;
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = goroutines.write_text(&mut text, Lines::All);
    String::from_utf8_lossy(&text).into_owned()
}

fn left<'a>(tasks: &Tasks, row: &Row) -> Left<'a> {
    let key = &tasks.stack_keys[row.stack_key as usize];
    Left {
        id: row.id,
        kind: key.kind,
        runtime: row.runtime,
        type_name: key.meta.map_or("", |meta| meta.type_name()),
        spawned_at: tasks.sites.get(row.site as usize).map(|site| site.location),
    }
}
