//! The ids of tasks that are spawned: tokio tells them when it has the task, so the entry of a spawn seldom knows it.

use crate::source::own_id;
use crate::source::trace::{Happened, RecordName, What};
use std::collections::HashMap;

/// For each event that is a spawn, the task's id: from its first poll, from its end, or from its record, which still is
/// the task's. A number of our own where the spawn is not over.
pub(super) fn of_spawns(happened: &[Happened]) -> Vec<u64> {
    let mut ids = vec![0; happened.len()];
    // By record: the spawn that waits for its id.
    let mut open: HashMap<RecordName, usize> = HashMap::new();
    for (at, happened) in happened.iter().enumerate() {
        let (record, id) = match happened.what {
            What::Spawn { record, id: 0, .. } => {
                open.insert(record, at);
                continue;
            }
            What::Spawn { record, id, .. } => {
                ids[at] = id;
                open.remove(&record);
                continue;
            }
            What::PollBegin {
                record,
                id: Some(id),
                ..
            }
            | What::ClosureBegin { record, id }
            | What::Dropped { record, id, .. } => (record, id),
            _ => continue,
        };
        if id != 0
            && let Some(spawn) = open.remove(&record)
        {
            ids[spawn] = id;
        }
    }
    for (record, spawn) in open {
        let known = record.view().map(|view| view.id).filter(|id| *id != 0);
        ids[spawn] = known.unwrap_or_else(own_id);
    }
    ids
}
