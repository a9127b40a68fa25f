//! What waits add up to: those that are over, and those that go on.

use super::remaining::Remaining;
use super::tasks::known;
use crate::clock::Scale;
use crate::registry::slab;
use crate::registry::task::Kind;
use crate::stack::raw::WaitSet;
use crate::tally::waits::{self, WaitSite, WaitSites};
use std::collections::HashMap;
use std::time::Duration;

/// The waits at one site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    pub(crate) site: WaitSite,
    pub(crate) remaining: Remaining,
    pub(crate) count: f64,
    pub(crate) delay_ns: f64,
}

/// Those of tasks.
pub(crate) fn blocked() -> Vec<Waited> {
    copy(&waits::BLOCK)
}

/// Those for locks, where these were released.
pub(crate) fn unlocked() -> Vec<Waited> {
    copy(&waits::MUTEX)
}

fn copy(table: &WaitSites) -> Vec<Waited> {
    table
        .totals()
        .map(|total| Waited {
            site: total.site,
            remaining: Remaining::All,
            count: total.count,
            delay_ns: total.delay_ns,
        })
        .collect()
}

/// Tasks that wait with the same registrations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) waits: &'static WaitSet,
    pub(crate) remaining: Remaining,
    pub(crate) count: u64,
    pub(crate) total: Duration,
    /// The task that waits for longest, and for how long.
    pub(crate) id: u64,
    pub(crate) longest: Duration,
}

/// The tasks that wait now and of which it is known where: a walk over the records, and nothing is kept for each.
pub(crate) fn pending() -> Vec<Pending> {
    let scale = Scale::now();
    let mut all: HashMap<(usize, Remaining), Pending> = HashMap::new();
    slab::for_each(|record| {
        let Some(view) = known(record) else { return };
        let has_a_stack = !matches!(view.kind, Kind::Foreign | Kind::Blocking);
        let Some(waits) = view
            .waits
            .filter(|_| has_a_stack && !view.polling && view.woken.is_none())
        else {
            return;
        };
        let remaining = Remaining::of(&view, 0);
        if !remaining.is_some() {
            return;
        }
        let since = Duration::from_nanos(scale.since(view.since));
        let pending = all
            .entry((std::ptr::from_ref(waits).addr(), remaining))
            .or_insert(Pending {
                waits,
                remaining,
                count: 0,
                total: Duration::ZERO,
                id: view.id,
                longest: Duration::ZERO,
            });
        pending.count += 1;
        pending.total += since;
        if since > pending.longest {
            (pending.id, pending.longest) = (view.id, since);
        }
    });
    all.into_values().collect()
}
