//! Waits that another task should end soon: for a lock, a permit, or room in a channel. In a healthy program they are
//! short. Other waits, such as a receiver's, have no known limit.

use super::leaf_stacks::{Assembled, assemble};
use crate::snapshot::remaining::Remaining;
use crate::snapshot::waits;
use crate::stack::wait_set::WaitSet;
use crate::symbol::name::Names;
use crate::symbol::reason::{Reason, Sort, sort_of};
use crate::symbol::resolver::resolver;
use std::collections::HashMap;
use std::time::Duration;

/// Tasks with the same registrations that wait too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongWait {
    /// The address of the registrations.
    pub(crate) site: usize,
    pub(crate) reason: Reason,
    /// The task that waits for longest.
    pub(crate) id: u64,
    pub(crate) since: Duration,
    /// How many tasks wait there, that task included.
    pub(crate) tasks: u64,
}

/// Finds such waits. The verdict on each set of registrations is cached: sets are never freed, and a program has few.
#[derive(Debug, Default)]
pub(crate) struct LongWaits {
    known: HashMap<(usize, Remaining), Verdict>,
}

/// The verdict on a set of registrations.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    /// The reason, if it is a wait that another task should end.
    reason: Option<Reason>,
    /// Whether the task yields, which is no wait.
    yields: bool,
}

impl LongWaits {
    /// The waits that last longer than `limit`.
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

    /// Whether a task with these registrations has only yielded.
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

/// The reason of such a wait, if all branches but timers have it.
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
    // A sender that waits for its receivers to be dropped may wait for ever.
    let ends = functions()
        .any(|function| function.ends_with("::closed") || function.ends_with("::poll_closed"));
    match first {
        Reason::Semaphore | Reason::ChanSend if same && !ends => Some(first),
        lock if lock.is_lock() && same && !ends => Some(lock),
        _ => None,
    }
}
