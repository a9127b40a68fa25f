//! The waker is the probe.
//!
//! A leaf that has to wait clones the waker inside its own `poll`, on the task's stack. So `clone` runs at the very
//! point where the task suspends, for every leaf there is, and captures the stack. `wake` runs when the task becomes
//! runnable, on the thread that makes it so.
//!
//! The data pointer is the record's address; its low bits hold the poll's generation. As each poll has another one,
//! `will_wake` is false for what a leaf still holds, so the leaf clones again and every wait is seen. One vtable for
//! all: with several, a leaf that sat out one poll looked registered at the next, and a linker that folds equal data
//! merges them.
//!
//! Allowed here: the record's atomics, this thread's cells, a capture. Forbidden: allocating on the known path,
//! blocking, panicking, calling the user's code except for the task's own waker.

use super::trace;
use crate::clock;
use crate::demand;
use crate::primitive::Ordering;
#[cfg(feature = "sync")]
use crate::registry::locks::Who;
use crate::registry::slab::RecordRef;
use crate::registry::task::{
    GENERATIONS, Kind, PollNumber, Record, TOLD_AT_ITS_END, Waking, WokenPhase,
};
use crate::registry::threads::{self, Slot};
use crate::stack::anchor::{Anchor, here};
use crate::stack::own::OwnStack;
use crate::stack::raw::{FutureMeta, HasMeta, WaitSet};
use crate::stack::template::{self, AnchorFrame, WholeThread};
use crate::tally::waits::{How, WaitSite};
#[cfg(feature = "sync")]
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::null;
use std::sync::atomic::compiler_fence;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// One poll, as a local of the wrapper's `poll`: its address is the root at which a capture ends.
struct PollFrame {
    /// The poll's waker data: record and generation. A closure has no waker, and the generation 0.
    data: *const (),
    meta: &'static FutureMeta,
    outer: *const PollFrame,
    /// The thread's.
    slot: &'static Slot,
}

impl PollFrame {
    #[inline(always)]
    #[expect(unsafe_code, reason = "records live for ever")]
    fn record<'a>(&self) -> &'a Record {
        // SAFETY: `poll` and `run` make frames of a record's address.
        unsafe { record_of(self.data) }
    }

    /// A number that no other poll has for a long time.
    #[inline(always)]
    fn mark(&self) -> u64 {
        self.data.addr() as u64 ^ self.record().poll() << 48
    }
}

/// Keeps a frame in force until it is dropped, whichever way the poll ends.
struct Entered<'a>(&'a PollFrame);

impl<'a> Entered<'a> {
    #[inline(always)]
    fn new(own: &OwnStack, frame: &'a PollFrame) -> Self {
        // A signal handler on this thread must not find a frame that is not written yet. When it is taken out, the phase,
        // which is stored with Release afterwards, keeps the order.
        compiler_fence(Ordering::Release);
        own.innermost.set(std::ptr::from_ref(frame).cast());
        Entered(frame)
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        OwnStack::here().innermost.set(self.0.outer.cast());
        let now = clock::ticks();
        let slot = self.0.slot;
        slot.now.store(now, Ordering::Relaxed);
        let record = self.0.record();
        // Only this thread has written both since the poll began.
        let (began, poll) = (record.since(), record.poll_under_way());
        match now.checked_sub(began) {
            Some(length) => record.end_poll(poll, length, now),
            None => end_and_tell(record, slot, began, now),
        }
    }
}

/// An execution trace is told of the end; or another core's clock is a little ahead.
#[cold]
#[inline(never)]
fn end_and_tell(record: &Record, slot: &Slot, began: clock::Ticks, now: clock::Ticks) {
    if began & TOLD_AT_ITS_END != 0 {
        trace::poll_end(record, slot, now);
    }
    let length = now.saturating_sub(began & !TOLD_AT_ITS_END);
    record.end_poll(record.poll_under_way(), length, now);
}

/// The innermost poll of ours on this thread; null outside of any.
#[inline(always)]
fn innermost(own: &OwnStack) -> *const PollFrame {
    own.innermost.get().cast()
}

/// The id of the task that runs on this thread; 0 for none.
#[inline(always)]
pub(crate) fn current_task() -> u64 {
    current().map_or(0, Record::id)
}

/// The poll under way on this thread, as a number below 2^48 that no other poll of a task has before its 64th one from there,
/// and the task's record; 0 outside of any. Async-signal-safe.
#[inline(always)]
#[expect(unsafe_code, reason = "reads the current poll's frame")]
pub(super) fn under_way<'a>() -> (usize, Option<&'a Record>) {
    // SAFETY: as in `current`.
    match unsafe { innermost(OwnStack::here()).as_ref() } {
        Some(frame) => (frame.data.addr(), Some(frame.record())),
        None => (0, None),
    }
}

/// Who runs on this thread, packed: the task, or else the thread.
#[cfg(feature = "sync")]
#[inline(always)]
pub(super) fn current_packed() -> u64 {
    thread_local! {
        static THREAD: Cell<u64> = const { Cell::new(0) };
    }
    match current() {
        Some(record) => record.id(),
        None => THREAD.with(|thread| match thread.get() {
            0 => first_packed(thread),
            known => known,
        }),
    }
}

#[cfg(feature = "sync")]
#[cold]
#[inline(never)]
fn first_packed(thread: &Cell<u64>) -> u64 {
    thread.set(Who::Thread(crate::sys::thread::id()).pack());
    thread.get()
}

/// Which poll of its task is under way on this thread, and where it registered so far; poll 0 outside of any.
#[cfg(feature = "sync")]
pub(super) fn current_poll() -> (u64, Option<&'static WaitSet>) {
    current().map_or((0, None), |record| {
        (record.poll(), record.waits_of_this_poll())
    })
}

/// The record of the task that runs on this thread.
#[inline(always)]
#[expect(unsafe_code, reason = "reads the current poll's frame")]
fn current<'a>() -> Option<&'a Record> {
    // SAFETY: null or the frame of a poll further up on this thread's stack, which takes itself out again before it goes.
    unsafe { innermost(OwnStack::here()).as_ref() }.map(PollFrame::record)
}

/// The task that runs on this thread waits no longer where it registered last in this poll.
#[cfg(feature = "rt")]
pub(crate) fn withdraw() {
    if let Some(record) = current() {
        record.withdraw_wait();
    }
}

/// Which poll of a task is under way on this thread, by its frame, for as long as it lasts; 0 outside of any.
pub(super) fn place() -> usize {
    root().map_or(0, |(frame, _)| frame)
}

/// Where this thread is right now: in the task that it polls, or on its own, down to where it began.
#[inline(never)]
#[expect(unsafe_code, reason = "captures")]
pub(super) fn wait_site() -> WaitSite {
    static FRAME: AnchorFrame = AnchorFrame::new();
    let anchor = here!();
    let (how, root) = match root() {
        Some(root) => (How::Worker, Some(root)),
        None => (
            How::Thread,
            template::stack_end().map(|end| (end, <WholeThread as HasMeta>::META)),
        ),
    };
    let waits = root.and_then(|(root, meta)| {
        // SAFETY: this function took the anchor, and the root is a frame of a poll further up, or the stack's end.
        unsafe { template::capture(&FRAME, anchor, root, meta, None, None) }
    });
    WaitSite {
        waits,
        how,
        ..WaitSite::ELSEWHERE
    }
}

/// Where the stack of the task that is being polled begins, and of which future it is. Futures wrapped by hand inside a
/// task are a part of it.
#[expect(unsafe_code, reason = "reads the frames of polls")]
fn root() -> Option<(usize, &'static FutureMeta)> {
    // SAFETY: null or the frame of a poll further up on this thread's stack, and so is what it points to.
    unsafe {
        let mut frame = innermost(OwnStack::here()).as_ref()?;
        while frame.record().kind() == Kind::Nested
            && let Some(outer) = frame.outer.as_ref()
        {
            frame = outer;
        }
        Some((std::ptr::from_ref(frame).addr(), frame.meta))
    }
}

/// A poll that a signal interrupted.
#[derive(Clone, Copy)]
pub(crate) struct Interrupted {
    /// The task's, the blocking closure's or the wrapped future's.
    pub(crate) record: &'static Record,
    /// Which of its polls it is.
    pub(crate) poll: u64,
    pub(crate) meta: &'static FutureMeta,
    /// The stack address at which the task's own stack ends.
    pub(crate) root: usize,
    /// Where it has registered in this poll so far, or else in the last one that registered anywhere.
    pub(crate) waits: Option<&'static WaitSet>,
    /// Where it had registered before, if it has in this poll and does not only repeat that.
    pub(crate) before: Option<&'static WaitSet>,
}

/// The polls under way on this thread, the innermost first: a wrapped future's, the task's around it, and those around a
/// `block_on` inside that task.
///
/// Async-signal-safe, and right at whatever instruction the handler stopped the thread: a frame is put in force when it is
/// complete, and is taken out before it goes.
#[expect(unsafe_code, reason = "reads the frames of polls")]
pub(crate) fn interrupted() -> impl Iterator<Item = Interrupted> {
    let innermost = innermost(OwnStack::here());
    // SAFETY: null or the frame of a poll further up on this thread's stack, and so is what it points to.
    let frame = |at: *const PollFrame| unsafe { at.as_ref() };
    std::iter::successors(frame(innermost), move |at| frame(at.outer)).map(|at| {
        let record = at.record();
        Interrupted {
            record,
            poll: record.poll(),
            meta: at.meta,
            root: std::ptr::from_ref(at).addr(),
            waits: record.last_waits(),
            before: at.slot.kept_waits(at.mark()),
        }
    })
}

/// Whether a poll of ours is under way on this thread.
pub(super) fn is_polling() -> bool {
    !innermost(OwnStack::here()).is_null()
}

/// What a poll begins with.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) began: clock::Ticks,
    /// Of the waker.
    pub(super) generation: usize,
}

/// Polls on the thread of `slot`: calls `inner` with a waker of this record and of that generation. The record has been
/// prepared, if it needs that. It is closed where `is_over` says so: not when the future is dropped, until then it would be
/// a task that nothing can wake.
#[inline(always)]
#[expect(unsafe_code, reason = "makes a waker")]
pub(super) fn poll<R>(
    record: &Record,
    poll: PollNumber,
    meta: &'static FutureMeta,
    slot: &'static Slot,
    start: Start,
    inner: impl FnOnce(&mut Context<'_>) -> R,
    is_over: impl FnOnce(&R) -> bool,
) -> R {
    record.begin_poll(poll, slot.number(), start.began);
    // Not by `map_addr`: its arithmetic takes three instructions more.
    let address = std::ptr::from_ref(record).expose_provenance();
    let data = std::ptr::without_provenance(address | start.generation);
    let own = OwnStack::here();
    let frame = PollFrame {
        data,
        meta,
        outer: innermost(own),
        slot,
    };
    let entered = Entered::new(own, &frame);
    // SAFETY: the vtable is made for such data. The waker owns no reference and is never dropped: it borrows the
    // wrapper's, which outlives the poll.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) });
    let result = inner(&mut Context::from_waker(&waker));
    if is_over(&result) {
        entered.0.record().close();
    }
    result
}

/// Tells a nested future's record in whose poll it is.
#[inline(always)]
pub(super) fn note_outer(record: &Record) {
    record.set_outer(current().map_or(null(), std::ptr::from_ref));
}

/// Runs a closure as a task of its own.
// Never inlined, as the wrapper's poll: where it is a part of tokio's poll of the closure, that one would be the closure's.
#[cfg(feature = "rt")]
#[inline(never)]
pub(super) fn run<R>(
    record: &RecordRef,
    meta: &'static FutureMeta,
    inner: impl FnOnce() -> R,
) -> R {
    let (slot, mut began) = (threads::slot(), clock::ticks());
    slot.now.store(began, Ordering::Relaxed);
    if demand::any() {
        began = trace::closure_begin(record, slot, began);
    }
    record.begin_poll(record.next_poll(), slot.number(), began);
    let own = OwnStack::here();
    let frame = PollFrame {
        data: std::ptr::without_provenance(record.as_ptr().expose_provenance()),
        meta,
        outer: innermost(own),
        slot,
    };
    let _entered = Entered::new(own, &frame);
    let result = inner();
    record.close();
    result
}

/// The record in a waker's data.
///
/// # Safety
/// `data` is a waker's of ours.
#[inline(always)]
#[expect(unsafe_code, reason = "records live for ever")]
unsafe fn record_of<'a>(data: *const ()) -> &'a Record {
    let record = std::ptr::with_exposed_provenance(data.addr() & !(GENERATIONS - 1));
    // SAFETY: without the generation it is the address of a record, and records live for ever.
    unsafe { &*record }
}

/// Of a waker's two words, if it is one of ours: the address of its record, and the generation.
#[cfg(feature = "rt")]
pub(super) fn record_and_generation(data: usize, table: usize) -> Option<(usize, usize)> {
    let is_ours = table == (&raw const VTABLE).addr();
    is_ours.then_some((data & !(GENERATIONS - 1), data & (GENERATIONS - 1)))
}

static CLONE_FRAME: AnchorFrame = AnchorFrame::new();

/// A leaf keeps the waker: a registration, if it is the polling thread during the very poll that the waker is of. Any
/// other clone counts a reference and nothing else.
#[inline(never)]
#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn clone(data: *const ()) -> RawWaker {
    // First: see `stack::own`.
    let own = OwnStack::here();
    // SAFETY: called through the vtable, so `data` is ours.
    let record = unsafe { record_of(data) };
    record.retain();
    let frame = innermost(own);
    // SAFETY: null or a frame further up on this stack, see `current`.
    if let Some(poll) = unsafe { frame.as_ref() }
        && poll.data.addr() == data.addr()
    {
        let anchor = here!();
        let repeats = record.last_waits().is_some_and(|last| {
            // SAFETY: this function took the anchor just now, and the frame is a local of a poll further up.
            unsafe { template::repeats(own, &anchor, frame.addr(), last) }
        });
        if repeats {
            record.repeat_waits();
        } else {
            let Anchor { pc, sp, fp } = anchor;
            // SAFETY: the same, and this function is still running while that one does.
            unsafe { register(poll, pc, sp, fp) };
        }
    }
    RawWaker::new(data, &VTABLE)
}

/// A registration that is not the only one of its poll, or not that of the poll before. The anchor comes in registers, so
/// that [`clone`] needs no memory for it.
///
/// # Safety
/// [`clone`] took the anchor, and `poll` is a local further up on this stack.
#[inline(never)]
#[expect(unsafe_code, reason = "captures")]
unsafe fn register(poll: &PollFrame, pc: usize, sp: usize, fp: usize) {
    let record = poll.record();
    let of_this_poll = record.waits_of_this_poll();
    let last = record.last_waits();
    if of_this_poll.is_none() {
        poll.slot.keep_waits(poll.mark(), last);
    }
    let earlier = of_this_poll.or_else(|| template::carried(record.waits_to_carry()?));
    let (anchor, root) = (Anchor { pc, sp, fp }, std::ptr::from_ref(poll).addr());
    // SAFETY: by this function's own contract.
    let waits = unsafe { template::capture(&CLONE_FRAME, anchor, root, poll.meta, earlier, last) };
    record.set_waits(waits);
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn wake(data: *const ()) {
    // First: see `stack::own`.
    let own = OwnStack::here();
    // SAFETY: called through the vtable, which owns a reference; it is given back when `record` goes.
    unsafe {
        let record = RecordRef::from_raw(record_of(data));
        note_wake(own, &record, data, true);
        record.wake();
    }
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn wake_by_ref(data: *const ()) {
    let own = OwnStack::here();
    // SAFETY: called through the vtable; the caller's waker holds a reference (or is the poll's own), so the record
    // was polled.
    unsafe {
        let record = record_of(data);
        note_wake(own, record, data, false);
        record.wake();
    }
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: called through the vtable, which owns a reference.
    drop(unsafe { RecordRef::from_raw(record_of(data)) });
}

#[inline(always)]
#[expect(unsafe_code, reason = "reads the current poll's frame")]
fn note_wake(own: &OwnStack, record: &Record, data: *const (), consumed: bool) {
    // SAFETY: null or a frame further up on this stack, see `current`.
    let poll = unsafe { innermost(own).as_ref() };
    // Wakers of one record differ by less than this.
    let distance = poll.map_or(usize::MAX, |poll| poll.data.addr() ^ data.addr());
    if distance.wrapping_sub(1) < GENERATIONS - 1 {
        record.note_stale_self_wake();
    }
    let Some(phase) = record.phase_to_wake() else {
        return;
    };
    let Some(poll) = poll else {
        return note_wake_elsewhere(record, None, consumed);
    };
    let waking = poll.record();
    let by = match waking.id() {
        0 => Waking::Thread(poll.slot.number()),
        id => Waking::Task(id),
    };
    if phase.is_polling() {
        // It becomes runnable at the end of that poll, whose stamp is taken anyway.
        record.note_first_wake(phase, consumed, 0, by, distance < GENERATIONS);
    } else if !demand::any() && waking.kind() != Kind::Blocking {
        // Inside a poll the thread's last stamp is the begin of that poll, and it has to do: the clock costs more than
        // everything else that a wake does. It is read where a profile asks how long the task has waited.
        let at = poll.slot.now.load(Ordering::Relaxed);
        record.note_first_wake(phase, consumed, at, by, false);
    } else {
        note_wake_closely(record, phase, poll, consumed, by);
    }
}

/// A wake inside a poll, of a task that waits: something asks when it comes, or a closure does it.
#[cold]
#[inline(never)]
fn note_wake_closely(
    record: &Record,
    phase: WokenPhase,
    poll: &PollFrame,
    consumed: bool,
    by: Waking,
) {
    if poll.record().kind() == Kind::Blocking {
        return note_wake_elsewhere(record, Some(poll), consumed);
    }
    let at = trace::wake(record, poll.slot);
    record.note_first_wake(phase, consumed, at, by, false);
}

/// A wake that comes from no poll, or of which more is to be noted.
#[inline(never)]
fn note_wake_elsewhere(record: &Record, poll: Option<&PollFrame>, consumed: bool) {
    record.note_wake(
        consumed,
        || {
            let slot = threads::slot();
            // A closure may have run for an hour.
            let is_in_a_poll = poll.is_some_and(|poll| poll.record().kind() != Kind::Blocking);
            if !is_in_a_poll {
                // A driver or timer on a worker: what the worker polls next begins no earlier than this.
                slot.stamp_wake(clock::ticks());
            }
            if demand::any() {
                return trace::wake(record, slot);
            }
            slot.now.load(Ordering::Relaxed)
        },
        || match poll.map_or(0, |poll| poll.record().id()) {
            0 => Waking::Thread(threads::current()),
            id => Waking::Task(id),
        },
    );
}
