//! Waits for what another task has, and has to give: a lock, a permit, room in a channel. A healthy program has them for a
//! short time only; of others, such as a receiver's, nothing tells how long is too long.

use super::leaf_stacks::{Assembled, assemble};
use crate::snapshot::remaining::Remaining;
use crate::snapshot::waits;
use crate::stack::raw::WaitSet;
use crate::symbol::name::Names;
use crate::symbol::reason::{Reason, Sort, sort_of};
use crate::symbol::resolver::resolver;
use std::collections::HashMap;
use std::time::Duration;

/// Tasks that wait too long, with the same registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongWait {
    /// The address of the registrations.
    pub(crate) site: usize,
    pub(crate) reason: Reason,
    /// The task that waits for longest.
    pub(crate) id: u64,
    pub(crate) since: Duration,
    /// How many wait there, that task included.
    pub(crate) tasks: u64,
}

/// Looks for such waits, and remembers which registrations are one: sets are never freed, and a program has few.
#[derive(Debug, Default)]
pub(crate) struct LongWaits {
    known: HashMap<(usize, Remaining), Verdict>,
}

/// What is known of registrations.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    /// What is waited for, if it may last too long.
    reason: Option<Reason>,
    /// It is no wait: the task yields.
    yields: bool,
}

impl LongWaits {
    /// Those that last longer than `limit`.
    pub(crate) fn look(&mut self, limit: Duration) -> Vec<LongWait> {
        let pending = waits::pending().into_iter();
        let long = pending.filter(|pending| pending.longest > limit);
        long.filter_map(|pending| {
            let reason = self.verdict(pending.waits, pending.remaining).reason;
            Some(LongWait {
                site: std::ptr::from_ref(pending.waits).addr(),
                reason: reason?,
                id: pending.id,
                since: pending.longest,
                tasks: pending.count,
            })
        })
        .collect()
    }

    /// Whether a task with these registrations has only given way.
    pub(crate) fn yields(&mut self, waits: &'static WaitSet) -> bool {
        self.verdict(waits, Remaining::All).yields
    }

    fn verdict(&mut self, waits: &'static WaitSet, remaining: Remaining) -> Verdict {
        let site = std::ptr::from_ref(waits).addr();
        *self.known.entry((site, remaining)).or_insert_with(|| {
            let found = assemble(waits, remaining, None, Names::Short, &mut resolver());
            Verdict {
                reason: reason(&found),
                yields: found.leaves.contains(&Reason::Yield),
            }
        })
    }
}

/// What is waited for, if it is nothing else, a time-out aside.
fn reason(found: &Assembled) -> Option<Reason> {
    let mut wanted = found
        .leaves
        .iter()
        .filter(|leaf| sort_of(**leaf) != Sort::Sleep);
    let first = *wanted.next()?;
    let same = wanted.all(|leaf| *leaf == first);
    let functions = || {
        let branches = found
            .stack
            .branches
            .iter()
            .flat_map(|branch| &branch.locations);
        let locations = branches
            .chain(&found.stack.trunk)
            .filter(|location| !location.hidden);
        locations
            .flat_map(|location| &location.frames)
            .map(|frame| &*frame.function)
    };
    // A sender that waits for its receivers to go may do so for ever.
    let ends = functions()
        .any(|function| function.ends_with("::closed") || function.ends_with("::poll_closed"));
    match first {
        Reason::Semaphore | Reason::ChanSend if same && !ends => Some(first),
        lock if lock.is_lock() && same && !ends => Some(lock),
        _ => None,
    }
}
