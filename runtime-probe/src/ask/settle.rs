//! Wakes tasks whose dump leaves open where they wait, so that their next poll tells.
//!
//! The one place where the probe wakes anything, and only on request: a poll out of turn can complete a careless future, and it
//! can heal the very lost wake-up that the reader is looking for.

use crate::registry::held::Held;
use crate::registry::slab;
use crate::registry::task::Record;
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

/// How long the tasks are waited for. Their polls take microseconds; where every worker is stuck they do not come at all.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often it is looked whether the polls have come.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settling {
    /// Tasks that were woken.
    pub(crate) woken: usize,
    /// Of these, the ones that were not polled in time.
    pub(crate) open: usize,
}

/// Wakes each of these tasks once, unless it is running or woken already, and waits a moment for their polls.
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
    /// Whether a poll has ended since; a task that is gone has had its last.
    fn was_polled(&self) -> bool {
        let view = self.record.view();
        view.is_none_or(|view| {
            view.version != self.version || (view.polls > self.polls && !view.polling)
        })
    }
}
