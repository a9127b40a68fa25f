//! Sums of waits: of those that have ended, and of those under way.

use super::remaining::Remaining;
use super::tasks::known;
use crate::clock::Scale;
use crate::registry::slab;
use crate::registry::task::Kind;
use crate::stack::wait_set::WaitSet;
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

/// The waits of the block profile.
pub(crate) fn blocked() -> Vec<Waited> {
    copy(&waits::BLOCK)
}

/// The waits for locks, at the sites of the releases.
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
    /// The task that waits for longest.
    pub(crate) id: u64,
    pub(crate) longest: Duration,
}

/// The waiting tasks with known stacks, by registrations: a walk over the records, without memory for each task.
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
