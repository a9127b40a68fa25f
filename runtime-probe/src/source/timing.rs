//! Adds times to the sums by spawn site, at the begin of a poll and at the end of a task.

use super::trace;
use crate::clock::{self, Ticks};
use crate::demand::{self, Demand};
use crate::primitive::Ordering;
use crate::registry::polls::Here;
use crate::registry::slab::{self, RecordOwner};
use crate::registry::task::Record;
use crate::registry::threads::{self, Slot};
use crate::tally::poll_times::{self, Finished};
use crate::tally::task_times::{self, Noted, PollStart, SpawnSite, TASKS};
use std::mem::ManuallyDrop;

/// Records times at the begin of a poll of ours. Reads the clock, because the thread's last stamp may be older than its
/// sleep.
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
    // Last: until the poll begins, a reader counts this delay twice, in the sum and in the current state.
    if Demand::ReadyTimes.is_on() {
        slab::add_delay(record, delay.unwrap_or(0));
    }
}

/// The length of the last poll, if it began while times were recorded.
fn settle(record: &Record) -> Option<Ticks> {
    let recording = task_times::recording();
    let (polls, busy) = record.finished();
    let length = Noted(slab::noted(record)).since(recording, busy);
    slab::set_noted(record, Noted::new(recording, busy).0);
    length.filter(|_| polls > 0)
}

/// Ends a task, closes its record and drops the wrapper's reference. Called once for each task, whether it returned,
/// panicked or was dropped.
///
/// The reference is leaked if this panics, so that nothing has to be kept for that.
#[inline(never)]
pub(super) fn note_end(record: RecordOwner) {
    let record = ManuallyDrop::new(record);
    let slot = Here::get().slot();
    if !end_plainly(&record, slot) {
        end_otherwise(&record, slot);
    }
    drop(ManuallyDrop::into_inner(record));
}

/// Ends a task that a poll has finished, if nothing is switched on, no reference is kept, and a task of its site has ended before.
/// `false` for any other.
#[inline(always)]
fn end_plainly(record: &Record, slot: &Slot) -> bool {
    // A task that a poll has finished did not panic, and its record is closed before it is counted: see
    // `note_foreign_end`.
    if record.is_finished_task()
        && !slot.has_reasons()
        && let Some(ends) = record.site().ends()
    {
        leaves_tokio(slot);
        ends.note_end(slot.number().0, record.poll());
        return true;
    }
    false
}

/// Ends any other task.
#[cold]
#[inline(never)]
fn end_otherwise(record: &Record, slot: &Slot) {
    record.drop_kept();
    if !end_plainly(record, slot) {
        end_closely(record);
    }
}

/// Ends a task if something is switched on, or if it did not finish. And anything but a task, and the first task of its site.
fn end_closely(record: &Record) {
    if demand::any() {
        note_last_poll(record);
    }
    end(record);
    record.site().learn_ends();
}

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

/// The same for a closure, which is polled at most once.
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

/// The times of a finished poll of a foreign task, before it is written to the record. The ready time is not known, so
/// it is part of the wait.
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

/// Adds these times, outside of any lock.
#[cfg(feature = "rt")]
pub(super) fn note_start(start: Option<(SpawnSite, PollStart)>) {
    if let Some((site, start)) = start {
        TASKS.note(site, threads::current().0, start);
    }
}

/// Ends a foreign task.
#[cfg(feature = "rt")]
pub(super) fn note_foreign_end(record: &Record) {
    trace::dropped(record);
    leaves_tokio(threads::slot());
    // Closed before it is counted: a reader misses the task for a moment instead of counting it twice.
    record.close();
    TASKS.note_end(site(record), threads::current().0, record.poll(), false);
}

fn end(record: &Record) {
    let slot = threads::slot();
    let (polls, site) = (record.poll(), site(record));
    // If the task panicked, the thread's last stamp is the end of its poll. Otherwise the task belongs to a runtime
    // that a panic drops.
    if record.is_listed_by_tokio() {
        leaves_tokio(slot);
    }
    let panicked =
        std::thread::panicking() && polls > 0 && record.since() == slot.now.load(Ordering::Relaxed);
    record.close();
    TASKS.note_end(site, slot.number().0, polls, panicked);
}

/// tokio will remove a task from its list soon, on this thread.
#[inline(always)]
fn leaves_tokio(slot: &Slot) {
    let now = slot.now.load(Ordering::Relaxed);
    slot.ended.store(now, Ordering::Relaxed);
}

fn site(record: &Record) -> SpawnSite {
    record.site().tallied_as(record.kind_number())
}
