//! The poll times of one task, while a client watches it.

use super::tasks::known;
use crate::registry::slab;
use crate::registry::task::{Kind, View};
use crate::tally::poll_times::{Finished, PollTimes, Watch};

/// Why the polls of a task cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwatchable {
    NoSuchTask,
    /// The task is a closure or a foreign task.
    NotPolledByUs,
    TooMany,
}

/// A task whose polls are watched.
pub(crate) struct Watched(Watch);

impl Watched {
    /// Begins to watch the task with that id.
    pub(crate) fn begin(id: u64) -> Result<Watched, Unwatchable> {
        let view = find(id).ok_or(Unwatchable::NoSuchTask)?;
        if matches!(view.kind, Kind::Blocking | Kind::Foreign) {
            return Err(Unwatchable::NotPolledByUs);
        }
        // A poll under way is in the number of polls, but not in the busy time. It is the first counted poll.
        let finished = Finished {
            polls: view.polls - u64::from(view.polling),
            busy: view.busy,
        };
        let watch = Watch::begin(id, finished).ok_or(Unwatchable::TooMany)?;
        Ok(Watched(watch))
    }

    /// The finished polls since the begin; `None` once the task has ended.
    pub(crate) fn read(&self) -> Option<PollTimes> {
        let view = find(self.0.id)?;
        let finished = (!view.polling).then_some(Finished {
            polls: view.polls,
            busy: view.busy,
        });
        Some(self.0.read(finished))
    }
}

/// Compares the id of each record: 100,000 take a millisecond.
fn find(id: u64) -> Option<View> {
    let mut found = None;
    slab::for_each(|record| {
        if record.id() == id {
            found = found.or(known(record).filter(|view| view.id == id));
        }
    });
    found
}
