//! Poll times and ready times of single tasks while they are watched: counts by length, each length within 1 %.
//!
//! Histograms for all tasks would cost tens of kilobytes a task. So only a few tasks are watched at a time. While none
//! is, a poll costs nothing more: one word tells whether waits are sampled or polls watched ([`crate::demand::any`]).
//!
//! A poll is noted when the next one begins, from the growth of the task's busy time, so that the end of a poll costs
//! nothing either. A reader notes the last one. The poller of a task that is not watched reads [`MOST`] words. The
//! poller of a watched task takes a lock, which a reader holds while it reads the counts.

use super::lengths::Lengths;
use crate::clock::{Scale, Ticks};
use crate::primitive::{AtomicU64, Ordering, lock};
use std::sync::Mutex;

/// How many tasks are watched at a time: 70 KB each, so 1.1 MB.
const MOST: usize = 16;

/// Nanoseconds, each within one part in 256. Lengths above 2^41, 36 minutes, are counted as that.
const LENGTHS: Lengths = Lengths::new(8, 40);
const COUNTS: usize = LENGTHS.classes();

/// The ids of the watched tasks; 0 for a free slot. Each has the slot of its index.
static IDS: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
static SLOTS: [Mutex<Option<Box<Slot>>>; MOST] = [const { Mutex::new(None) }; MOST];
/// Held while a watch begins or ends.
static BEGINNING: Mutex<()> = Mutex::new(());

/// How many polls of a task are finished, and how long they took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) polls: u64,
    pub(crate) busy: Ticks,
}

struct Slot {
    id: u64,
    /// The finished polls when the last one was noted.
    last: Finished,
    ns_per_tick: f64,
    polls: Counts,
    delays: Counts,
}

/// Lengths of one kind.
struct Counts {
    longest_ns: u64,
    counts: [u64; COUNTS],
}

impl Counts {
    const EMPTY: Counts = Counts {
        longest_ns: 0,
        counts: [0; COUNTS],
    };

    fn note(&mut self, ns: u64) {
        self.counts[LENGTHS.class(ns)] += 1;
        self.longest_ns = self.longest_ns.max(ns);
    }

    fn distribution(&self) -> Distribution {
        let occurred = self.counts.iter().enumerate();
        let occurred = occurred.filter(|(_, count)| **count > 0);
        Distribution {
            counts: occurred
                .map(|(at, count)| (LENGTHS.middle(at), *count))
                .collect(),
            longest_ns: self.longest_ns,
        }
    }
}

impl Slot {
    fn ns(&self, ticks: Ticks) -> u64 {
        (ticks as f64 * self.ns_per_tick) as u64
    }

    fn note(&mut self, finished: Finished) {
        let polls = finished.polls.saturating_sub(self.last.polls);
        let busy = finished.busy.saturating_sub(self.last.busy);
        self.last = finished;
        // Several polls began since the last look: the length of each is not known.
        if polls == 1 {
            self.polls.note(self.ns(busy));
        }
    }
}

/// A poll of the task `id` is about to begin, `delay` after the task was ready. Called by its poller.
pub(crate) fn note(id: u64, finished: Finished, delay: Option<Ticks>) {
    for (watched, slot) in IDS.iter().zip(&SLOTS) {
        if watched.load(Ordering::Relaxed) == id
            // The slot may be another task's by now.
            && let Some(slot) = lock(slot).as_mut().filter(|slot| slot.id == id)
        {
            slot.note(finished);
            if let Some(delay) = delay {
                slot.delays.note(slot.ns(delay));
            }
        }
    }
}

/// The poll times and ready times of a watched task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PollTimes {
    pub(crate) polls: Distribution,
    pub(crate) delays: Distribution,
}

/// How many polls, or ready times, had each length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// (middle of a class in nanoseconds, how many were in it), without empty classes, shortest first.
    pub(crate) counts: Vec<(u64, u64)>,
    pub(crate) longest_ns: u64,
}

/// A task that is watched, until this is dropped.
#[derive(Debug)]
#[must_use = "nothing is watched after this"]
pub(crate) struct Watch {
    pub(crate) id: u64,
    slot: usize,
}

impl Watch {
    /// Watches the task of that id from its next poll on; `None` if all slots are in use.
    pub(crate) fn begin(id: u64, finished: Finished) -> Option<Watch> {
        let fresh = Box::new(Slot {
            id,
            last: finished,
            ns_per_tick: Scale::now().ns_per_tick(),
            polls: Counts::EMPTY,
            delays: Counts::EMPTY,
        });
        let _one = lock(&BEGINNING);
        let slot = IDS.iter().position(|id| id.load(Ordering::Relaxed) == 0)?;
        *lock(&SLOTS[slot]) = Some(fresh);
        IDS[slot].store(id, Ordering::Relaxed);
        Some(Watch { id, slot })
    }

    /// The times so far. With `finished` the last finished poll is among them. The poll that still runs is left out.
    pub(crate) fn read(&self, finished: Option<Finished>) -> PollTimes {
        let mut slot = lock(&SLOTS[self.slot]);
        let Some(slot) = slot.as_mut() else {
            return PollTimes::default();
        };
        if let Some(finished) = finished.filter(|finished| finished.polls > slot.last.polls) {
            slot.note(finished);
        }
        PollTimes {
            polls: slot.polls.distribution(),
            delays: slot.delays.distribution(),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let beginning = lock(&BEGINNING);
        IDS[self.slot].store(0, Ordering::Relaxed);
        let slot = lock(&SLOTS[self.slot]).take();
        drop(beginning);
        // Freed outside of the locks, since pollers take one of them.
        drop(slot);
    }
}
