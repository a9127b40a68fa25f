//! What the begin of a poll and the end of a task add to what is known of the place where such tasks are spawned.

use super::trace;
use crate::clock::{self, Ticks};
use crate::demand::{self, Demand};
use crate::primitive::Ordering;
use crate::registry::task::{Kind, Record};
use crate::registry::threads::{self, Slot};
use crate::tally::poll_times::{self, Finished};
use crate::tally::task_times::{self, Noted, PollStart, SpawnSite, TASKS};

/// A poll of ours is about to begin on this thread. That is the moment: the thread's last stamp may be of before it slept.
pub(super) fn note_poll(record: &Record, slot: &Slot) {
    let begins = clock::ticks();
    slot.now.store(begins, Ordering::Relaxed);
    let (waited, ready_at) = record.wait_and_ready_time();
    let delay = ready_at.map(|since| begins.saturating_sub(since));
    if Demand::PollTimes.is_on() {
        let (polls, busy) = record.finished();
        poll_times::note(record.id(), Finished { polls, busy }, delay);
    }
    if Demand::TaskTimes.is_on() {
        let start = PollStart {
            poll: settle(record),
            wait: waited,
            delay,
        };
        TASKS.note(site(record), slot.number().0, start);
    }
    // Last: until the poll begins a reader counts the delay twice, in this sum and as the state that the task is in.
    if Demand::ReadyTimes.is_on() {
        record.add_delay(delay.unwrap_or(0));
    }
}

/// The length of the last poll, if there was one that began while times were noted.
fn settle(record: &Record) -> Option<Ticks> {
    let recording = task_times::recording();
    let (polls, busy) = record.finished();
    let length = Noted(record.noted()).since(recording, busy);
    record.set_noted(Noted::new(recording, busy).0);
    length.filter(|_| polls > 0)
}

/// The task is over, and its record is closed. Every end of one comes by here, once: it returned, it panicked, or it was
/// dropped.
#[inline(never)]
pub(super) fn note_end(record: &Record) {
    if demand::any() {
        note_last_poll(record);
    }
    end(record);
}

#[cold]
fn note_last_poll(record: &Record) {
    trace::dropped(record);
    if Demand::TaskTimes.is_on() {
        let start = PollStart {
            poll: settle(record),
            ..PollStart::default()
        };
        TASKS.note(site(record), threads::current().0, start);
    }
}

/// The same for a closure, which is polled once, or never.
#[cfg(feature = "rt")]
pub(super) fn note_closure_end(record: &Record) {
    trace::dropped(record);
    let (polls, busy) = record.finished();
    if polls > 0 && Demand::TaskTimes.is_on() {
        let began = record.since().saturating_sub(busy);
        let start = PollStart {
            poll: Some(busy),
            wait: None,
            delay: Some(began.saturating_sub(record.spawned())),
        };
        TASKS.note(site(record), threads::current().0, start);
    }
    end(record);
}

/// What a poll of a foreign task tells, once it is over and before it is entered in the record. How long the task was
/// ready before the poll is not known: its wait has that time in it.
#[cfg(feature = "rt")]
pub(super) fn foreign_start(
    record: &Record,
    began: Ticks,
    ended: Ticks,
) -> Option<(SpawnSite, PollStart)> {
    Demand::TaskTimes.is_on().then(|| {
        let start = PollStart {
            poll: Some(ended.saturating_sub(began)),
            wait: record
                .last_poll_ended()
                .map(|since| began.saturating_sub(since)),
            delay: None,
        };
        (site(record), start)
    })
}

/// Notes that, outside of any lock.
#[cfg(feature = "rt")]
pub(super) fn note_start(start: Option<(SpawnSite, PollStart)>) {
    if let Some((site, start)) = start {
        TASKS.note(site, threads::current().0, start);
    }
}

/// The end of a foreign task.
#[cfg(feature = "rt")]
pub(super) fn note_foreign_end(record: &Record) {
    trace::dropped(record);
    leaves_tokio(threads::slot());
    // First: a reader misses it for a moment, rather than counting it twice.
    record.close();
    TASKS.note_end(site(record), threads::current().0, record.poll(), false);
}

fn end(record: &Record) {
    let slot = threads::slot();
    let (polls, site) = (record.poll(), site(record));
    // A panic drops what it goes through, and at that moment the thread's last stamp is the end of that poll. Otherwise it
    // is a task of a runtime that a panic drops.
    if matches!(record.kind(), Kind::Task | Kind::Local) {
        leaves_tokio(slot);
    }
    let panicked =
        std::thread::panicking() && polls > 0 && record.since() == slot.now.load(Ordering::Relaxed);
    record.close();
    TASKS.note_end(site, slot.number().0, polls, panicked);
}

/// tokio takes a task off its list soon, on this thread.
fn leaves_tokio(slot: &Slot) {
    let now = slot.now.load(Ordering::Relaxed);
    slot.ended.store(now, Ordering::Relaxed);
}

fn site(record: &Record) -> SpawnSite {
    SpawnSite {
        location: record.location(),
        kind: record.kind() as u8,
        future: record.meta(),
    }
}
