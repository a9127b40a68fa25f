//! How often tasks are polled, by two looks: what spins through its waker, so that it is always polled or about to be, looks
//! like any other task that runs at either of them.

use super::tasks::known;
use crate::clock::Scale;
use crate::registry::record::{Kind, Record, View};
use crate::registry::slab;
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

/// How far apart the looks are at least. Two thousand polls a second, the fewest that are told, are twenty in that time.
const APART: Duration = Duration::from_millis(10);

/// The fewest polls a second that are told: no ticker of tokio's, whose finest is a millisecond, has as many.
const LEAST: u64 = 2_000;

/// The most tasks that are looked at twice.
const MOST: usize = 256;

/// How often a task is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Polls a second between the two looks.
    pub(crate) now: u64,
    /// The average since the task was spawned.
    pub(crate) average: u64,
    /// How long ago that was.
    pub(crate) age: Duration,
}

/// The first look.
pub(crate) struct Rates {
    begun: Instant,
    tasks: Vec<(&'static Record, u64, u64)>,
}

impl Rates {
    /// Looks for tasks that are polled, or are about to be, and have been often enough to spin.
    pub(crate) fn begin() -> Self {
        let mut tasks = Vec::new();
        let scale = Scale::now();
        slab::for_each(|record| {
            if tasks.len() < MOST
                && let Some(view) = known(record)
                && is_busy(&view, &scale)
            {
                tasks.push((record, view.id, view.polls));
            }
        });
        Rates {
            begun: Instant::now(),
            tasks,
        }
    }

    /// Looks again, for which it waits if there is anything to look at: those that are polled often, by their id.
    pub(crate) fn end(self) -> HashMap<u64, Rate> {
        if self.tasks.is_empty() {
            return HashMap::new();
        }
        thread::sleep(APART.saturating_sub(self.begun.elapsed()));
        let scale = Scale::now();
        let apart = self.begun.elapsed();
        let tasks = self.tasks.into_iter();
        let rates = tasks.filter_map(|(record, id, polls)| {
            let view = known(record).filter(|view| view.id == id && is_busy(view, &scale))?;
            let now = per_second(view.polls.saturating_sub(polls), apart);
            let age = Duration::from_nanos(scale.since(view.spawned));
            let rate = Rate {
                now,
                average: per_second(view.polls, age),
                age,
            };
            (now >= LEAST).then_some((id, rate))
        });
        rates.collect()
    }
}

/// Nanoseconds that a task that gives way waits at the most: until its worker has looked for other work.
const GIVES_WAY: u64 = 100_000;

/// Whether it is polled, ready to be, or has been just now: what gives way (`yield_now`) is woken a moment after its poll. The
/// first polls of a task tell nothing.
pub(super) fn is_busy(view: &View, scale: &Scale) -> bool {
    let is_alone = !matches!(view.kind, Kind::Nested | Kind::Blocking);
    let is_busy = || view.polling || view.woken.is_some() || scale.since(view.since) < GIVES_WAY;
    is_alone && view.polls >= LEAST / 10 && is_busy()
}

pub(crate) fn per_second(polls: u64, time: Duration) -> u64 {
    (polls as f64 / time.as_secs_f64().max(1e-9)) as u64
}
