//! Tasks that can never be woken, as Go's `goroutineleak`: no waker of them is left, or they are in a deadlock or
//! behind one.
//!
//! Go finds a goroutine that waits for an object which no running goroutine can reach. Rust has no garbage collector
//! that could tell. So a task whose channel is held only by another leaked task is not found; the output says so.

use super::conditions::{self, Condition};
use super::doing::Does;
use super::goroutine::Goroutines;
use super::goroutine_forms::Lines;
use super::named::NamedProfile;
use super::selection::{Leaks, Selection};
use crate::registry::locks::Who;
use crate::registry::task::Kind;
use crate::snapshot::deadlocks::Deadlock;
use crate::snapshot::stuck_locks::StuckLocks;
use crate::snapshot::tasks::{Row, Tasks};
use std::collections::{HashMap, HashSet};

/// The name, as in Go.
pub(crate) const NAME: &str = "goroutineleak";

/// The first remark of a dump.
pub(super) const COVERS: &str = "found are tasks without any waker and those in a deadlock or behind one, not those that wait \
                                 for a channel which nothing will use any more";

/// The entry in the list of profiles.
pub(crate) const PROFILE: NamedProfile = NamedProfile {
    name: NAME,
    most_debug: 2,
    count,
    write: |out, debug| {
        let mut selection = Selection::default();
        selection.leaks = leaks(debug);
        let goroutines = Goroutines::collect(selection);
        match debug {
            0 => out.write_all(&goroutines.profile().to_gzip()),
            1 => goroutines.write_count_text(out),
            _ => goroutines.write_text(out, Lines::All),
        }
    },
};

/// As in Go, `debug=2` has all tasks, and the other forms only the leaked ones.
pub(crate) fn leaks(debug: u32) -> Leaks {
    match debug {
        2 => Leaks::Marked,
        _ => Leaks::Only,
    }
}

/// The leaked tasks.
#[derive(Debug, Default)]
pub(super) struct Leaked {
    tasks: HashSet<u64>,
    /// By the text in the brackets: that text with the mark.
    marked: HashMap<&'static str, String>,
}

impl Leaked {
    pub(super) fn has(&self, id: u64) -> bool {
        self.tasks.contains(&id)
    }

    pub(super) fn count(&self) -> usize {
        self.tasks.len()
    }

    /// The text in the brackets of a task.
    pub(super) fn marked(&self, id: u64, does: Does) -> &str {
        match self.marked.get(does.text()) {
            Some(marked) if self.has(id) => marked,
            _ => does.text(),
        }
    }
}

impl Goroutines {
    pub(super) fn find_leaked(&self) -> Leaked {
        let tasks = leaked(&self.tasks, conditions::deadlocks(&self.conditions));
        let mut marked = HashMap::new();
        for row in self.tasks.rows.iter().filter(|row| tasks.contains(&row.id)) {
            let reason = self.doings[row.stack_key as usize].text();
            marked
                .entry(reason)
                .or_insert_with(|| format!("{reason} (leaked)"));
        }
        Leaked { tasks, marked }
    }
}

/// Whether no waker of a task is left.
pub(super) fn is_lost(tasks: &Tasks, row: &Row) -> bool {
    let kind = tasks.stack_keys[row.stack_key as usize].kind;
    row.flags.lost() && matches!(kind, Kind::Task | Kind::Local)
}

/// The ids of the leaked tasks. The root of a `block_on` is left out: it may wait for nothing on purpose.
fn leaked<'d>(tasks: &Tasks, deadlocks: impl Iterator<Item = &'d Deadlock>) -> HashSet<u64> {
    let lost = tasks.rows.iter().filter(|row| is_lost(tasks, row));
    let lost = lost.map(|row| row.id);
    let stuck = deadlocks.flat_map(Deadlock::stuck);
    let stuck = stuck.filter_map(|who| match who {
        Who::Task(id) => Some(id),
        Who::Thread(_) | Who::Unknown => None,
    });
    lost.chain(stuck).collect()
}

/// How many tasks are leaked.
pub(crate) fn count() -> usize {
    leaked(&Tasks::take(), StuckLocks::now().deadlocks.iter()).len()
}

/// The same, given the conditions of the process.
pub(crate) fn count_with(conditions: &[Condition]) -> usize {
    leaked(&Tasks::take(), conditions::deadlocks(conditions)).len()
}
