//! A look at what may be wrong, cheap enough for several a second: a walk over the records, and nothing is kept of the tasks
//! that are well. 100,000 tasks take some 5 ms.

use super::tasks;
use crate::clock::Scale;
use crate::primitive::Ordering;
use crate::registry::record::Kind;
use crate::registry::{slab, threads};
use std::time::Duration;

/// What a look finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// How many tasks there are.
    pub(crate) tasks: usize,
    /// Polls that last longer than the limit.
    pub(crate) long_polls: Vec<LongPoll>,
    /// The task that has been ready for longest and is not polled, if for longer than the limit.
    pub(crate) kept_waiting: Option<KeptWaiting>,
}

/// A poll that lasts too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongPoll {
    pub(crate) id: u64,
    /// Which of the task's polls; 0 for a task that somebody else spawned, whose polls are told by their begin.
    pub(crate) poll: u64,
    pub(crate) lasts: Duration,
}

/// A task that nobody polls though it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptWaiting {
    pub(crate) id: u64,
    pub(crate) since: Duration,
}

/// Looks for what has lasted longer than `limit`.
pub(crate) fn look(limit: Duration) -> Look {
    let scale = Scale::now();
    let lasts =
        |since| Some(Duration::from_nanos(scale.since(since))).filter(|lasts| *lasts > limit);
    let mut look = Look::default();
    slab::for_each(|record| {
        let Some(view) = tasks::known(record) else {
            return;
        };
        look.tasks += 1;
        match view.kind {
            // A closure of the blocking pool is there to last, a foreign task tells nothing here, and a wrapped future is a
            // part of the poll around it.
            Kind::Blocking | Kind::Foreign => {}
            Kind::Nested if view.outer != 0 => {}
            _ if view.polling => {
                look.long_polls
                    .extend(lasts(view.since).map(|lasts| LongPoll {
                        id: view.id,
                        poll: view.polls,
                        lasts,
                    }));
            }
            _ => {
                let ready = view.woken.and_then(|(at, _)| lasts(at.max(view.since)));
                let longest = look.kept_waiting.map_or(Duration::ZERO, |task| task.since);
                if let Some(since) = ready.filter(|since| *since > longest) {
                    look.kept_waiting = Some(KeptWaiting { id: view.id, since });
                }
            }
        }
    });
    // Of foreign tasks the thread knows which one it polls.
    let foreign = threads::alive().into_values().filter_map(|(_, slot)| {
        let id = slot.foreign.load(Ordering::Acquire);
        let since = slot.foreign_since.load(Ordering::Relaxed);
        let lasts = lasts(since).filter(|_| id != 0)?;
        Some(LongPoll {
            id,
            poll: since,
            lasts,
        })
    });
    look.long_polls.extend(foreign);
    look
}
