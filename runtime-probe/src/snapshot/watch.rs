//! A look at what may be wrong, cheap enough for several a second: a walk over the records, and nothing is kept of the tasks
//! that are well. 100,000 tasks take some 5 ms.

use super::tasks;
use crate::clock::{Scale, Ticks};
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
    // Of foreign tasks the thread knows which one it polls, and since when at the earliest.
    let polled: Vec<(u64, Ticks)> = threads::alive()
        .into_values()
        .map(|(_, slot)| {
            let id = slot.foreign.load(Ordering::Acquire);
            (id, slot.foreign_since.load(Ordering::Relaxed))
        })
        .filter(|(id, _)| *id != 0)
        .collect();
    slab::for_each(|record| {
        let Some(view) = tasks::known(record) else {
            return;
        };
        look.tasks += 1;
        match view.kind {
            Kind::Foreign => {
                let begun = polled.iter().find(|(id, _)| *id == view.id);
                look.long_polls.extend(begun.and_then(|(id, begun)| {
                    let since = view.since.max(*begun);
                    Some(LongPoll {
                        id: *id,
                        poll: since,
                        lasts: lasts(since)?,
                    })
                }));
            }
            // A closure of the blocking pool is there to last, and a wrapped future is a part of the poll around it.
            Kind::Blocking => {}
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
    look
}
