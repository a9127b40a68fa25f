//! Wakes tasks whose dump leaves open where they wait: their next poll registers the wait again.
//!
//! This is the only place where the probe wakes a task, and it happens only on request. An additional poll can complete
//! a careless future, and it can repair the lost wake-up that the reader is looking for.

use crate::registry::held::Held;
use crate::registry::slab;
use crate::registry::task::Record;
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for the polls. They take microseconds. They do not happen at all if every worker is stuck.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often to check whether the tasks were polled.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How many tasks were woken, and how many of them were polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settling {
    /// Tasks that were woken.
    pub(crate) woken: usize,
    /// Woken tasks that were not polled in time.
    pub(crate) open: usize,
}

/// Wakes each of these tasks once, unless it is running or woken already, and waits up to [`PATIENCE`] for their polls.
pub(crate) fn settle(ids: &HashSet<u64>) -> Settling {
    let mut woken = Vec::new();
    slab::for_each(|record| {
        let Some(view) = record.view() else { return };
        if !ids.contains(&view.id) || view.woken.is_some() {
            return;
        }
        if let Some(held) = Held::of(record, &view) {
            held.wake();
            woken.push(Woken {
                record,
                version: view.version,
                polls: view.polls,
            });
        }
    });
    let count = woken.len();
    let deadline = Instant::now() + PATIENCE;
    loop {
        woken.retain(|woken| !woken.was_polled());
        if woken.is_empty() || Instant::now() >= deadline {
            return Settling {
                woken: count,
                open: woken.len(),
            };
        }
        thread::sleep(LOOK_EVERY);
    }
}

struct Woken {
    record: &'static Record,
    version: u32,
    polls: u64,
}

impl Woken {
    /// Whether a poll has ended since, or the task is gone.
    fn was_polled(&self) -> bool {
        let view = self.record.view();
        view.is_none_or(|view| {
            view.version != self.version || (view.polls > self.polls && !view.polling)
        })
    }
}
