//! Poll rates of tasks, by two looks. At a single look, a task that spins through its waker looks like any other
//! running task.

use super::tasks::known;
use crate::clock::{Scale, Ticks};
use crate::primitive::Ordering;
use crate::registry::task::{Kind, Record, View};
use crate::registry::{slab, threads};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

/// The least time between the looks. [`LEAST`] polls a second are twenty in that time.
const APART: Duration = Duration::from_millis(10);

/// The fewest polls a second that are reported. tokio's timers have a resolution of a millisecond, so no ticker has as
/// many.
const LEAST: u64 = 2_000;

/// The most tasks that are compared.
const MOST: usize = 256;

/// The poll rate of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Polls a second between the two looks.
    pub(crate) now: u64,
    /// The average since the task was spawned.
    pub(crate) average: u64,
    /// The time since its spawn.
    pub(crate) age: Duration,
    /// The number of polls.
    pub(crate) polls: u64,
}

impl Rate {
    /// How long the task can have spun at the current rate: all its polls at this rate take so long. `None` unless its
    /// average rate is lower.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        let was_slower = self.average < self.now / 2;
        was_slower.then(|| Duration::from_secs_f64(self.polls as f64 / self.now as f64))
    }
}

/// The first look.
pub(crate) struct Rates {
    begun: Instant,
    tasks: Vec<(&'static Record, u64, u64)>,
}

impl Rates {
    /// Finds tasks that are polled or ready, with enough polls to spin.
    pub(crate) fn begin() -> Self {
        let mut tasks = Vec::new();
        let (scale, foreign) = (Scale::now(), Foreign::now());
        slab::for_each(|record| {
            if tasks.len() < MOST
                && let Some(view) = known(record)
                && is_busy(&view, &scale, &foreign)
            {
                tasks.push((record, view.id, view.polls));
            }
        });
        Rates {
            begun: Instant::now(),
            tasks,
        }
    }

    /// Takes the second look, after a pause if there are such tasks. Returns the tasks with high rates, by id.
    pub(crate) fn end(self) -> HashMap<u64, Rate> {
        if self.tasks.is_empty() {
            return HashMap::new();
        }
        thread::sleep(APART.saturating_sub(self.begun.elapsed()));
        let (scale, foreign) = (Scale::now(), Foreign::now());
        let apart = self.begun.elapsed();
        let tasks = self.tasks.into_iter();
        let rates = tasks.filter_map(|(record, id, polls)| {
            let view = known(record).filter(|view| view.id == id)?;
            if !is_busy(&view, &scale, &foreign) {
                return None;
            }
            let now = per_second(view.polls.saturating_sub(polls), apart);
            let age = Duration::from_nanos(scale.since(view.spawned));
            let rate = Rate {
                now,
                average: per_second(view.polls, age),
                age,
                polls: view.polls,
            };
            (now >= LEAST).then_some((id, rate))
        });
        rates.collect()
    }
}

/// The most nanoseconds that a yielding task (`yield_now`) waits: until its worker has looked for other work.
pub(super) const YIELD: u64 = 100_000;

/// The foreign tasks that are being polled, as their threads show it.
pub(super) struct Foreign(HashMap<u64, Ticks>);

impl Foreign {
    pub(super) fn now() -> Self {
        let threads = threads::alive().into_values();
        let polled = threads.map(|(_, slot)| {
            let id = slot.foreign.load(Ordering::Acquire);
            (id, slot.foreign_since.load(Ordering::Relaxed))
        });
        Foreign(polled.filter(|(id, _)| *id != 0).collect())
    }

    /// The earliest begin of the current poll of a task.
    pub(super) fn polled_since(&self, id: u64) -> Option<Ticks> {
        self.0.get(&id).copied()
    }
}

/// How many nanoseconds a task has waited; 0 if it is polled or ready. `None` for entries that cannot spin, and for
/// tasks with few polls.
pub(super) fn waited(view: &View, scale: &Scale, foreign: &Foreign) -> Option<u64> {
    if matches!(view.kind, Kind::Nested | Kind::Blocking) || view.polls < LEAST / 10 {
        return None;
    }
    let is_polled = match view.kind {
        Kind::Foreign => foreign.polled_since(view.id).is_some(),
        _ => view.polling,
    };
    match is_polled || view.woken.is_some() {
        true => Some(0),
        false => Some(scale.since(view.since)),
    }
}

/// Whether a task is polled, is ready, or was polled just now.
fn is_busy(view: &View, scale: &Scale, foreign: &Foreign) -> bool {
    waited(view, scale, foreign).is_some_and(|ns| ns < YIELD)
}

pub(crate) fn per_second(polls: u64, time: Duration) -> u64 {
    (polls as f64 / time.as_secs_f64().max(1e-9)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::labels::LabelSet;
    use crate::registry::slab::RecordOwner;

    #[test]
    fn a_task_that_did_not_always_spin_has_not_done_so_for_longer_than_its_polls_take() {
        let rate = |average| Rate {
            now: 50_000,
            average,
            age: Duration::from_secs(60),
            polls: 60 * average,
        };
        assert_eq!(rate(5_000).lasts(), Some(Duration::from_secs(6)));
        assert_eq!(rate(49_000).lasts(), None);
    }

    #[test]
    fn a_foreign_task_is_busy_while_its_thread_polls_it() {
        clock::init();
        const ID: u64 = 1 << 50;
        let begun = clock::ticks();
        let record =
            RecordOwner::new(Kind::Foreign, ID, None, None, || begun, || LabelSet::NONE).unwrap();
        let slot = threads::slot();
        for _ in 0..LEAST {
            record.note_foreign_poll(slot.number(), 1, begun);
        }
        thread::sleep(Duration::from_nanos(2 * YIELD));
        let waited = || waited(&record.view().unwrap(), &Scale::now(), &Foreign::now());
        assert!(waited() >= Some(YIELD));
        slot.foreign.store(ID, Ordering::Release);
        let polled = waited();
        slot.foreign.store(0, Ordering::Release);
        assert_eq!(polled, Some(0));
    }
}
