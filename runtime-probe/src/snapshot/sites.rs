//! Tasks by spawn site: live tasks, and sums of those that have ended.

use super::tasks::known;
use crate::clock::Scale;
use crate::demand::Demand;
use crate::registry::task::Kind;
use crate::registry::{join_sets, slab};
use crate::tally::task_times::{self, Counts, LENGTHS, Noted, SpawnSite, TASKS, add};
use std::collections::HashMap;
use std::panic::Location;

/// All sites at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sites {
    /// In no particular order.
    pub(crate) rows: Vec<SiteRow>,
    /// Whether times are recorded.
    pub(crate) is_timed: bool,
    pub(crate) scale: Scale,
}

/// A spawn location, a kind of task and the type of its future.
pub(crate) type SiteKey = (
    Option<Location<'static>>,
    Option<Kind>,
    Option<&'static str>,
);

/// The tasks of a [`SiteKey`].
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteRow {
    pub(crate) location: Option<Location<'static>>,
    /// `None` for the row of all tasks beyond the size of the table.
    pub(crate) kind: Option<Kind>,
    /// The name of the future's type; `None` if not known.
    pub(crate) future: Option<&'static str>,
    pub(crate) alive: u64,
    /// Ended tasks in `JoinSet`s whose results were not taken.
    pub(crate) untaken: u64,
    pub(crate) finished: u64,
    /// How many of the finished tasks panicked.
    pub(crate) panicked: u64,
    /// Polls, including those under way.
    pub(crate) polls: u64,
    /// Lengths of polls, waits and delays, by bucket of [`LENGTHS`]. Polls and waits under way are not included.
    pub(crate) counts: Counts,
}

impl SiteRow {
    /// The key of the row.
    pub(crate) fn key(&self) -> SiteKey {
        (self.location, self.kind, self.future)
    }
}

/// Takes the copy: 50 ns for each live task, and 20 us for each key with times.
pub(crate) fn take() -> Sites {
    let is_timed = Demand::TaskTimes.is_on();
    let mut rows = Rows::default();
    // The sums are read before the records: a task that ends in between is missed instead of counted twice.
    for total in TASKS.totals() {
        let row = rows.of(total.site);
        row.finished += total.finished;
        row.panicked += total.panicked;
        row.polls += total.polls;
        for (sums, counts) in row.counts.iter_mut().zip(total.counts) {
            for (class, count) in counts.into_iter().enumerate() {
                add(sums, class, count);
            }
        }
    }
    rows.is_full = TASKS.is_full();
    // The sets are read before the records: tasks that are spawned in between make the difference smaller.
    let lens = join_sets::lens();
    let recording = task_times::recording();
    slab::for_each(|record| {
        let Some(view) = known(record) else { return };
        let row = rows.of(SpawnSite {
            location: view.location,
            kind: view.kind as u8,
            future: view.meta,
        });
        row.alive += 1;
        row.polls += view.polls;
        // The last poll of a task is recorded when its next one begins, which may never happen. So it is added here.
        let (_, noted) = slab::measured(&view);
        let noted = Noted(noted).since(recording, view.busy);
        let noted = noted.filter(|length| *length > 0);
        let is_between_polls = view.polls > 0 && !view.polling;
        let is_polled_by_us = !matches!(view.kind, Kind::Foreign | Kind::Blocking);
        if let Some(length) = noted.filter(|_| is_timed && is_between_polls && is_polled_by_us) {
            add(&mut row.counts[0], LENGTHS.class(length), 1);
        }
    });
    let mut rows = rows.rows;
    untaken(&mut rows, lens);
    rows.retain(|row| row.alive + row.finished > 0);
    Sites {
        rows,
        is_timed,
        scale: Scale::now(),
    }
}

/// Sets the results that were not taken: the tasks in sets, less the live tasks of the location. Detached tasks are not
/// counted.
fn untaken(rows: &mut [SiteRow], lens: HashMap<Location<'static>, u64>) {
    for (location, len) in lens {
        let here = || {
            rows.iter()
                .enumerate()
                .filter(|(_, row)| row.location == Some(location))
        };
        let alive: u64 = here().map(|(_, row)| row.alive).sum();
        let most = here().max_by_key(|(_, row)| row.finished).map(|(at, _)| at);
        if let Some(at) = most {
            rows[at].untaken = len.saturating_sub(alive);
        }
    }
}

/// The number of sites.
pub(crate) fn count() -> usize {
    take().rows.len()
}

#[derive(Default)]
struct Rows {
    rows: Vec<SiteRow>,
    /// Indices by address, which is faster to hash than a path.
    by_address: HashMap<(usize, u8, usize), usize>,
    by_site: HashMap<SiteKey, usize>,
    /// Whether the table is full, so that no key is added.
    is_full: bool,
}

impl Rows {
    fn of(&mut self, site: SpawnSite) -> &mut SiteRow {
        let at = match self.by_address.get(&site.key()) {
            Some(at) => *at,
            None => {
                let at = self.enter(site);
                self.by_address.insert(site.key(), at);
                at
            }
        };
        &mut self.rows[at]
    }

    fn enter(&mut self, site: SpawnSite) -> usize {
        let future = site.future.map(|meta| meta.type_name());
        let mut site_key = (site.location.copied(), Kind::of(site.kind), future);
        if self.is_full && !self.by_site.contains_key(&site_key) {
            site_key = (None, None, None);
        }
        let (location, kind, future) = site_key;
        *self.by_site.entry(site_key).or_insert_with(|| {
            self.rows.push(SiteRow {
                location,
                kind,
                future,
                ..SiteRow::default()
            });
            self.rows.len() - 1
        })
    }
}
