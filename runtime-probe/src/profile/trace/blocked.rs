//! Threads that wait for other threads, as regions.
//!
//! A region has its name from its begin on. The entry of a wait's end has the stack, so the begin of a wait takes its
//! name from its end, if that is written in the same part.

use super::{Trace, naming};
use crate::clock::Scale;
use crate::source::regions::THREAD_BLOCKED;
use crate::source::trace::{By, Happened, Said, What};
use crate::stack::wait_set::WaitSet;
use crate::symbol::reason::Reason;
use runtime_dump::trace::{Event, StackNumber, TextNumber, UserEvent, UserWhat};
use std::collections::HashMap;

/// The name of a wait whose place is not known.
const SOMEWHERE: &str = "thread blocked";

/// What the end of a wait tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// There was nothing to wait for.
    NoWait,
    /// The place, if it is known.
    Waited(Option<&'static WaitSet>),
}

/// By the index of a begin: what the end tells, if it is among the events. Also by the index of the end of no wait.
pub(super) fn ends(happened: &[Happened]) -> HashMap<usize, End> {
    let mut begun: HashMap<u32, usize> = HashMap::new();
    let mut ends = HashMap::new();
    for (index, happened) in happened.iter().enumerate() {
        match happened.what {
            What::Said(Said::Blocks { .. }) => drop(begun.insert(happened.thread, index)),
            What::Said(Said::Unblocks { waits, is_wait, .. }) => {
                let begin = begun.remove(&happened.thread);
                if let Some(begin) = begin.filter(|_| is_wait) {
                    ends.insert(begin, End::Waited(waits));
                } else if let Some(begin) = begin {
                    ends.extend([(begin, End::NoWait), (index, End::NoWait)]);
                }
            }
            _ => {}
        }
    }
    ends
}

/// How a wait is shown.
struct Shown {
    name: TextNumber,
    reason: TextNumber,
    /// If it is known.
    stack: Option<StackNumber>,
}

impl Trace<'_> {
    /// The thread begins to wait. `end`: what the end tells, if it is known.
    pub(super) fn blocks(&mut self, happened: &Happened, end: Option<End>, scale: &Scale) {
        let What::Said(Said::Blocks { is_in_a_poll, by }) = happened.what else {
            return;
        };
        let waits = match end {
            Some(End::NoWait) => return,
            Some(End::Waited(waits)) => waits,
            None => None,
        };
        // A poll that is not known began before the trace.
        let polls = self.polls.get(&happened.thread.into());
        if is_in_a_poll && polls.is_none_or(Vec::is_empty) {
            return;
        }
        let Shown {
            name,
            reason,
            stack,
        } = self.shown(by, waits);
        self.blocked.insert(happened.thread, name);
        let place = self.place(happened);
        let at = stack.unwrap_or(place);
        let event = Event::User(UserEvent {
            user_task: self.inherited(happened.thread.into()),
            what: UserWhat::Blocks { name, reason, at },
            stack: place,
        });
        self.row(happened.at, happened.thread.into(), event, scale);
    }

    /// The thread goes on.
    pub(super) fn unblocks(&mut self, happened: &Happened, scale: &Scale) {
        if let Some(name) = self.blocked.remove(&happened.thread) {
            let user_task = self.inherited(happened.thread.into());
            self.say(happened, user_task, UserWhat::RegionEnd { name }, scale);
        }
    }

    fn shown(&mut self, by: By, waits: Option<&'static WaitSet>) -> Shown {
        let wait = waits.map(|waits| self.names.wait_once(waits, &mut *self.writer));
        let reason = match (by, wait) {
            (By::Lock, _) => Reason::Mutex,
            (By::Any, Some(wait)) => self.names.of_a_thread(waits, wait.of),
            (By::Any, None) => Reason::Unknown,
        };
        let name = match reason {
            Reason::Unknown => self.writer.text(SOMEWHERE),
            _ if reason.is_lock() => self.writer.text(THREAD_BLOCKED),
            _ => self.writer.text(&format!("{SOMEWHERE}: {}", reason.text())),
        };
        Shown {
            name,
            reason: match reason {
                Reason::Unknown => self.writer.text(naming::UNKNOWN),
                _ => self.writer.text(reason.text()),
            },
            stack: wait.map(|wait| wait.stack),
        }
    }
}
