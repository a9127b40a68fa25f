//! The ids of spawned tasks. tokio tells the id after the spawn, so a spawn's entry seldom has it.

use crate::source::own_id;
use crate::source::trace::{Happened, RecordName, What};
use std::collections::HashMap;

/// The task's id for each event that is a spawn: from its first poll, from its end, or from its record if the task
/// still has that. A number of our own if the spawn is under way.
pub(super) fn of_spawns(happened: &[Happened]) -> Vec<u64> {
    let mut ids = vec![0; happened.len()];
    // By record: the spawn without an id.
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
