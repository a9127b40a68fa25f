//! The wrapper around a future: it has a record, and polls with our waker.

#[cfg(feature = "rt")]
use super::joiners;
use super::waker::Start;
use super::{labels, timing, trace, waker};
use crate::clock::{self, Ticks};
use crate::demand::{self, Demand};
use crate::labels::LabelSet;
use crate::primitive::Ordering;
use crate::registry::local_sets;
use crate::registry::polls::Here;
use crate::registry::slab::RecordRef;
#[cfg(feature = "rt")]
use crate::registry::task::PollNumber;
use crate::registry::task::{EndedWait, Kind, PollFlags, Record, Spawn};
use crate::registry::threads::{self, Slot};
use crate::sampling::Weight;
use crate::stack::raw::{FutureMeta, HasMeta};
#[cfg(feature = "rt")]
use crate::stack::wait_set::WaitSet;
use crate::tally::waits::{BLOCK, How, WaitSite};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An instrumented future. It behaves exactly as the future inside.
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<F> {
    /// `None` when the probe is switched off. Declared first but dropped by `Drop` below: the record is closed before
    /// the future inside is dropped.
    record: Option<RecordRef>,
    future: F,
}

impl<F> std::fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instrumented")
            .field("id", &self.record.as_ref().map(|record| record.id()))
            .finish_non_exhaustive()
    }
}

impl<F> Instrumented<F> {
    /// Wraps `future`. An `id` of 0 is set later, by [`Spawned`] or the first poll.
    #[inline(always)]
    pub(crate) fn new(kind: Kind, id: u64, spawn: Option<Spawn>, future: F) -> Self {
        let meta = <F as HasMeta>::META;
        let record = match super::is_plainly_on() {
            true => Some(RecordRef::new(kind, id, spawn, Some(meta), clock::ticks())),
            // In pieces, so that the spawn is in no memory.
            false => new_record(
                (kind, id, meta),
                spawn.map(|spawn| spawn.location),
                spawn.map_or(0, |spawn| spawn.pc),
                spawn.map_or(0, |spawn| spawn.parent),
                spawn.map_or(LabelSet::NONE, |spawn| spawn.labels),
            ),
        };
        if kind == Kind::Local
            && let Some(record) = &record
        {
            record.set_local_set(local_sets::current());
        }
        Instrumented { record, future }
    }

    /// The registrations of the last poll.
    #[cfg(feature = "rt")]
    pub(super) fn waits(&self) -> Option<&'static WaitSet> {
        self.record.as_ref()?.view()?.waits
    }

    /// A handle that gets the id from the spawner.
    #[cfg(feature = "rt")]
    #[inline(always)]
    pub(crate) fn spawned(&self) -> Spawned {
        // tokio does not have the future yet, so no other thread changes the count.
        Spawned(self.record.as_ref().map(RecordRef::clone_unshared))
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    // Never inlined, so that the root frame of captured stacks is this function's in every executor.
    #[inline(never)]
    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with the wrapper: it is never moved out, `Drop` does not touch it, and the
        // wrapper is Unpin only if the future is. `record` is not pinned.
        let (record, future) = unsafe {
            let this = self.get_unchecked_mut();
            (&this.record, Pin::new_unchecked(&mut this.future))
        };
        let Some(record) = record else {
            return future.poll(context);
        };
        let slot = Here::get().slot();
        let (record, slot, poll, began, generation, table) =
            match record.poll_flags().is_plain() && slot.is_plain() {
                true => {
                    let poll = record.next_poll();
                    let began = slot.now.load(Ordering::Relaxed).max(record.ready_at());
                    let record: &Record = record;
                    let generation = poll.generation();
                    (record, slot, poll, began, generation, &waker::WRITTEN_ONCE)
                }
                false => {
                    let Start {
                        record,
                        slot,
                        poll,
                        began,
                        generation,
                        table,
                    } = start(context, record);
                    (record, slot, poll, began, generation, table)
                }
            };
        let start = Start {
            record,
            slot,
            poll,
            began,
            generation,
            table,
        };
        waker::poll(start, |context| future.poll(context), Poll::is_ready)
    }
}

/// The begin of a poll that needs more than the plain way.
///
/// It returns what the plain way has at hand as well. Otherwise that would be kept in registers beyond this call, which the
/// plain way would have to save.
#[cold]
#[inline(never)]
fn start<'r>(context: &Context<'_>, record: &'r RecordRef) -> Start<'r> {
    let here = Here::get();
    let (slot, poll_flags) = (here.slot(), record.poll_flags());
    if poll_flags.is_plain() && slot.is_only_traced() {
        let poll = record.next_poll();
        let last = slot.now.load(Ordering::Relaxed);
        return Start {
            record,
            slot,
            poll,
            began: trace::plain_poll_begin(here, record, slot, last),
            generation: poll.generation(),
            table: &waker::WRITTEN_ONCE,
        };
    }
    let slot = threads::slot();
    #[cfg(feature = "rt")]
    if poll_flags.is_first() && slot.is_plain() {
        return start_first(context, record, slot);
    }
    start_closely(context, record, slot, poll_flags)
}

/// The first poll of a task, with nothing switched on.
#[cfg(feature = "rt")]
#[inline(always)]
#[expect(unsafe_code, reason = "writes the waker slot")]
fn start_first<'r>(context: &Context<'_>, record: &'r Record, slot: &'static Slot) -> Start<'r> {
    // SAFETY: the flags say that the slot is written once, and was not written yet.
    unsafe { record.prepare_first(context.waker()) };
    // Whatever else is needed is read after that, which calls tokio.
    record.set_runtime(super::driving::of_thread(slot));
    learn_id(record);
    let poll = PollNumber::FIRST;
    Start {
        record,
        slot,
        poll,
        // Nothing could wake it before.
        began: slot.now.load(Ordering::Relaxed).max(record.since()),
        generation: poll.generation(),
        table: &waker::WRITTEN_ONCE,
    }
}

/// The spawner may not have set the id yet.
#[cfg(feature = "rt")]
#[inline(always)]
fn learn_id(record: &Record) {
    if record.id() == 0
        && let Some(id) = tokio::task::try_id()
    {
        record.set_id(super::foreign::number(id));
    }
}

/// The begin of any other poll.
#[inline(never)]
fn start_closely<'r>(
    context: &Context<'_>,
    record: &'r RecordRef,
    slot: &'static Slot,
    poll_flags: PollFlags,
) -> Start<'r> {
    let poll = record.next_poll();
    if poll_flags.needs_preparing() {
        prepare(record, slot, context);
    }
    if demand::any_but_a_trace() {
        note_last(record, slot);
    }
    let began = begin(record, slot, poll_flags);
    let began = match Demand::Trace.is_on() {
        true => trace::poll_begin(record, slot, began),
        false => began,
    };
    Start {
        record,
        slot,
        poll,
        began,
        generation: record.generation(poll, poll_flags),
        table: match poll_flags.is_top() {
            true => &waker::WRITTEN_ONCE,
            false => &waker::WRITTEN_OFTEN,
        },
    }
}

/// Prepares the first poll, and every poll of a `block_on` root or a nested future.
fn prepare(
    record: &RecordRef,
    #[cfg_attr(not(feature = "rt"), expect(unused))] slot: &Slot,
    context: &Context<'_>,
) {
    match record.kind() {
        Kind::Nested => {
            waker::note_outer(record);
            record.inherit(labels::current());
        }
        // The root is polled between the polls of tasks: a foreign task's last poll is over.
        #[cfg(feature = "rt")]
        Kind::BlockOn => {
            super::foreign::between_polls();
            record.set_runtime(super::driving::told(slot));
        }
        #[cfg(feature = "rt")]
        Kind::Task | Kind::Local => {
            record.set_runtime(super::driving::of_thread(slot));
            learn_id(record);
        }
        _ => {}
    }
    record.prepare(context.waker());
}

/// A record, if the switch is not plainly on.
#[cold]
#[inline(never)]
fn new_record(
    (kind, id, meta): (Kind, u64, &'static FutureMeta),
    location: Option<&'static Location<'static>>,
    pc: usize,
    parent: u64,
    labels: LabelSet,
) -> Option<RecordRef> {
    let spawn = location.map(|location| Spawn {
        location,
        pc,
        parent,
        labels,
    });
    let now = clock::ticks();
    let record = super::start_here().then(|| RecordRef::new(kind, id, spawn, Some(meta), now))?;
    trace::spawn(&record, now);
    Some(record)
}

/// Records the previous poll, and the wait since then (or a part of a wait that continues).
#[cold]
#[inline(never)]
fn note_last(record: &RecordRef, slot: &'static Slot) {
    if demand::any_times() {
        timing::note_poll(record, slot);
    }
    if Demand::Waits.is_on()
        && let Some(wait) = record.ended_wait(clock::ticks)
        && let Some(weight) = demand::sample_wait(wait.began, wait.ended)
    {
        add_wait(record, &wait, weight);
    }
}

/// The begin of the poll.
fn begin(record: &RecordRef, slot: &Slot, poll_flags: PollFlags) -> Ticks {
    if poll_flags.is_top() {
        #[cfg(feature = "rt")]
        super::foreign::claim(slot, record);
        slot.now.load(Ordering::Relaxed).max(record.ready_at())
    } else {
        // The thread's last stamp is too old: the thread slept, or another part of the task was polled.
        let now = clock::ticks();
        slot.now.store(now, Ordering::Relaxed);
        now
    }
}

#[cold]
#[inline(never)]
fn add_wait(record: &RecordRef, wait: &EndedWait, weight: Weight) {
    let site = WaitSite {
        waits: wait.waits,
        around: record.waits_around(),
        spawned_at: match wait.waits {
            Some(_) => None,
            None => record.location(),
        },
        how: How::Suspended,
        labels: record.labels(),
    };
    // A part of a wait that continues adds its length, but no count.
    let count = if wait.goes_on { 0.0 } else { weight.count };
    BLOCK.add(site, Weight { count, ..weight });
}

impl<F> Drop for Instrumented<F> {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            timing::note_end(record);
        }
    }
}

/// The spawner's handle of a wrapper that tokio owns.
#[cfg(feature = "rt")]
#[must_use]
pub(crate) struct Spawned(pub(super) Option<RecordRef>);

#[cfg(feature = "rt")]
impl Spawned {
    /// Sets tokio's handle of a closure, and its id.
    #[inline(always)]
    pub(crate) fn has_handle<H>(self, handle: &H, id: tokio::task::Id) {
        if let Some(record) = &self.0 {
            record.set_tokio_task(joiners::task_of(handle));
        }
        self.has_id(id);
    }

    /// Sets tokio's id of the task.
    #[inline(always)]
    pub(crate) fn has_id(self, id: tokio::task::Id) {
        if let Some(record) = self.0 {
            record.set_id(super::foreign::number(id));
        }
    }
}
