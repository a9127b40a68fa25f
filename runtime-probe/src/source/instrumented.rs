//! The wrapper around a future: it has a record, and polls with our waker.

#[cfg(feature = "rt")]
use super::joiners;
use super::waker::Begun;
use super::{labels, timing, trace, waker};
use crate::clock::{self, Ticks};
use crate::demand::{self, Demand};
use crate::labels::LabelSet;
use crate::primitive::Ordering;
use crate::registry::local_sets;
use crate::registry::polls::Here;
use crate::registry::slab::RecordOwner;
#[cfg(feature = "rt")]
use crate::registry::slab::RecordRef;
use crate::registry::task::{EndedWait, Kind, PollFlags, PollNumber, Record, Spawn};
use crate::registry::threads::{self, Slot};
use crate::sampling::Weight;
use crate::stack::raw::{FutureMeta, HasMeta};
#[cfg(feature = "rt")]
use crate::stack::wait_set::WaitSet;
use crate::tally::waits::{BLOCK, How, WaitSite};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An instrumented future. It behaves exactly as the future inside.
#[must_use = "futures do nothing unless polled"]
// The future first: then a poll passes its own argument on.
#[repr(C)]
pub struct Instrumented<F> {
    future: F,
    /// `None` when the probe is switched off. `Drop` below closes and drops it before the future inside is dropped.
    record: ManuallyDrop<Option<RecordOwner>>,
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
            true => RecordOwner::new(kind, id, spawn, Some(meta), clock::ticks, || LabelSet::NONE),
            // In pieces, so that the spawn is in no memory.
            false => new_record(
                (kind, id, meta),
                spawn.map(|spawn| spawn.location),
                spawn.map_or(0, |spawn| spawn.pc),
                spawn.map_or(0, |spawn| spawn.parent),
            ),
        };
        if kind == Kind::Local
            && let Some(record) = &record
        {
            record.set_local_set(local_sets::current());
        }
        Instrumented {
            future,
            record: ManuallyDrop::new(record),
        }
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
        Spawned(self.record.as_ref().map(RecordOwner::share))
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
            (&*this.record, Pin::new_unchecked(&mut this.future))
        };
        let Some(record) = record else {
            return future.poll(context);
        };
        let slot = Here::get().slot();
        // The record comes out of the calls again. Otherwise it would be kept in a register beyond them, which the plain way
        // would have to save.
        let begun = |begun: Begun| (begun.record(), begun);
        let (record, begun) = match (record.poll_flags().is_plain(), slot.is_plain()) {
            (true, true) => {
                let record: &Record = record;
                let poll = record.next_poll();
                let began = slot.now.load(Ordering::Relaxed).max(record.ready_at());
                (record, begin_plainly(record, slot, poll, began))
            }
            (true, false) => begun(begin_observed(slot, context, record)),
            (false, _) => begun(begin_unprepared(slot, context, record)),
        };
        waker::poll(
            record,
            begun,
            |context| future.poll(context),
            Poll::is_ready,
        )
    }
}

/// Begins a poll that needs nothing else.
#[inline(always)]
fn begin_plainly(record: &Record, slot: &Slot, poll: PollNumber, began: Ticks) -> Begun {
    record.begin_poll(poll, slot.number(), began);
    Begun::new(record, poll.generation(), &waker::WRITTEN_ONCE)
}

/// Begins a poll of a record that needs nothing, on a thread that has a reason. The context is the second argument, as of the
/// poll.
#[cold]
#[inline(never)]
fn begin_observed(slot: &'static Slot, context: &Context<'_>, record: &Record) -> Begun {
    if slot.is_only_traced() {
        let poll = record.next_poll();
        let last = slot.now.load(Ordering::Relaxed);
        let began = trace::plain_poll_begin(Here::get(), record, slot, last);
        return begin_plainly(record, slot, poll, began);
    }
    begin_closely(context, record)
}

/// Begins a poll of any other record: the first poll of a task, or one that has to be prepared.
#[cold]
#[inline(never)]
fn begin_unprepared(
    #[cfg_attr(not(feature = "rt"), expect(unused))] slot: &'static Slot,
    context: &Context<'_>,
    record: &Record,
) -> Begun {
    // The slot of a thread that was never listed is no plain one.
    #[cfg(feature = "rt")]
    if record.poll_flags().is_first() && slot.is_plain() {
        prepare_first(context, record, slot);
        // Nothing could wake it before.
        let began = slot.now.load(Ordering::Relaxed).max(record.since());
        return begin_plainly(record, slot, PollNumber::FIRST, began);
    }
    begin_closely(context, record)
}

/// Prepares the first poll of a task.
#[cfg(feature = "rt")]
#[inline(always)]
#[expect(unsafe_code, reason = "writes the waker slot")]
fn prepare_first(context: &Context<'_>, record: &Record, slot: &Slot) {
    // SAFETY: the flags say that the slot is written once, and was not written yet.
    unsafe { record.prepare_first(context.waker()) };
    // Whatever else is needed is read after that, which calls tokio.
    record.set_runtime(super::driving::of_thread(slot));
    learn_id(record);
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
fn begin_closely(context: &Context<'_>, record: &Record) -> Begun {
    let (slot, poll_flags) = (threads::slot(), record.poll_flags());
    let poll = record.next_poll();
    if poll_flags.needs_preparing() {
        prepare(record, slot, context);
    }
    if demand::any_but_a_trace() {
        note_last(record, slot);
    }
    let began = began(record, slot, poll_flags);
    let began = match Demand::Trace.is_on() {
        true => trace::poll_begin(record, slot, began),
        false => began,
    };
    record.begin_poll(poll, slot.number(), began);
    let table = match poll_flags.is_top() {
        true => &waker::WRITTEN_ONCE,
        false => &waker::WRITTEN_OFTEN,
    };
    Begun::new(record, record.generation(poll, poll_flags), table)
}

/// Prepares the first poll, and every poll of a `block_on` root or a nested future.
fn prepare(
    record: &Record,
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
) -> Option<RecordOwner> {
    let spawn = location.map(|location| Spawn {
        location,
        pc,
        parent,
    });
    let now = clock::ticks();
    let labels = || match spawn {
        Some(_) => labels::current(),
        None => LabelSet::NONE,
    };
    let record =
        super::start_here().then(|| RecordOwner::new(kind, id, spawn, Some(meta), || now, labels));
    let record = record.flatten()?;
    trace::spawn(&record, now);
    Some(record)
}

/// Records the previous poll, and the wait since then (or a part of a wait that continues).
#[cold]
#[inline(never)]
fn note_last(record: &Record, slot: &'static Slot) {
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

/// When the poll begins.
fn began(record: &Record, slot: &Slot, poll_flags: PollFlags) -> Ticks {
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
fn add_wait(record: &Record, wait: &EndedWait, weight: Weight) {
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
    #[inline]
    #[expect(unsafe_code, reason = "drops a field by hand")]
    fn drop(&mut self) {
        // SAFETY: only here, and the field is not used again.
        if let Some(record) = unsafe { ManuallyDrop::take(&mut self.record) } {
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
