//! Polls and closures under way, and queued closures. Troubles of a whole runtime are derived from these few.

use super::state::Doing;
use super::tasks::{State, Tasks, foreign_running, known};
use crate::clock::Scale;
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::slab;
use crate::registry::task::{Kind, Waking};
use crate::registry::threads::{self, ThreadNumber};
use std::panic::Location;

/// A poll or a closure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) runtime: RuntimeNumber,
    pub(crate) location: Option<&'static Location<'static>>,
    /// `None` for a closure in the queue.
    pub(crate) thread: Option<ThreadNumber>,
    /// Nanoseconds since its begin, or since it was queued.
    pub(crate) since_ns: u64,
}

/// All entries, by a walk over the records.
pub(crate) fn now() -> Vec<UnderWay> {
    let scale = Scale::now();
    let foreign = foreign_running(&threads::alive());
    let mut all = Vec::new();
    slab::for_each(|record| {
        let Some(view) = known(record) else { return };
        let doing = Doing::of(&view, &foreign);
        let Some(thread) = thread(doing.state, doing.by) else {
            return;
        };
        all.push(UnderWay {
            id: view.id,
            kind: view.kind,
            runtime: view.runtime,
            location: view.location,
            thread,
            since_ns: scale.since(doing.since),
        });
    });
    all
}

/// All entries, from a snapshot.
pub(crate) fn of(tasks: &Tasks) -> Vec<UnderWay> {
    let rows = tasks.rows.iter();
    rows.filter_map(|row| {
        let key = &tasks.stack_keys[row.stack_key as usize];
        let thread = thread(key.state, row.by())?;
        let site = tasks.sites.get(row.site as usize);
        Some(UnderWay {
            id: row.id,
            kind: key.kind,
            runtime: row.runtime,
            location: site.map(|site| site.location),
            thread,
            since_ns: row.since_ns,
        })
    })
    .collect()
}

/// The thread of an entry, or none for a queued closure. `None` for a task that is not under way.
fn thread(state: State, by: Waking) -> Option<Option<ThreadNumber>> {
    match (state, by) {
        (State::Running | State::Blocking, Waking::Thread(number)) => Some(Some(number)),
        (State::Queued, _) => Some(None),
        _ => None,
    }
}
