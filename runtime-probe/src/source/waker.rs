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
use crate::registry::task::{GENERATIONS, PollFlags, PollNumber, Record, TOLD_AT_ITS_END, Waking};
use crate::registry::threads::{self, Slot};
use crate::stack::anchor::{Anchor, here};
use crate::stack::raw::HasMeta;
use crate::stack::raw::{FutureMeta, WaitSet};
use crate::stack::template::WholeThread;
use crate::stack::template::{self, AnchorFrame};
use crate::tally::waits::{How, WaitSite};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::null;
use std::sync::atomic::compiler_fence;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// One poll, as a local of the wrapper's `poll`: its address is the root at which a capture ends.
struct PollFrame {
    /// The poll's waker data: record and generation. 0 for a closure, which has no waker.
    data: usize,
    record: *const Record,
    meta: &'static FutureMeta,
    outer: *const PollFrame,
}

thread_local! {
    /// The innermost poll of ours on this thread. No destructor, so it can be read for as long as the thread runs.
    static CURRENT: Cell<*const PollFrame> = const { Cell::new(null()) };
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
    CURRENT.with(|current| match unsafe { current.get().as_ref() } {
        // SAFETY: records live for ever.
        Some(frame) => (
            frame.data.max(frame.record.addr()),
            Some(unsafe { &*frame.record }),
        ),
        None => (0, None),
    })
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
    // SAFETY: null or the frame of a poll further up on this thread's stack; `Entered` takes it out again before it
    // goes. Records live for ever.
    CURRENT.with(|current| unsafe { current.get().as_ref().map(|frame| &*frame.record) })
}

/// The task that runs on this thread waits no longer where it registered last in this poll.
#[cfg(feature = "rt")]
pub(crate) fn withdraw() {
    if let Some(record) = current() {
        record.withdraw_wait();
    }
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
    use crate::registry::task::Kind;
    // SAFETY: null or the frame of a poll further up on this thread's stack, and so is what it points to. Records live
    // for ever.
    unsafe {
        let mut frame = CURRENT.with(Cell::get).as_ref()?;
        while (*frame.record).kind() == Kind::Nested
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
}

/// The polls under way on this thread, the innermost first: a wrapped future's, the task's around it, and those around a
/// `block_on` inside that task.
///
/// Async-signal-safe, and right at whatever instruction the handler stopped the thread: a frame is put in force when it is
/// complete, and is taken out before it goes.
#[expect(unsafe_code, reason = "reads the frames of polls")]
pub(crate) fn interrupted() -> impl Iterator<Item = Interrupted> {
    let innermost = CURRENT.with(Cell::get);
    // SAFETY: null or the frame of a poll further up on this thread's stack, and so is what it points to.
    let frame = |at: *const PollFrame| unsafe { at.as_ref() };
    std::iter::successors(frame(innermost), move |at| frame(at.outer)).map(|at| {
        // SAFETY: records live for ever.
        let record = unsafe { &*at.record };
        Interrupted {
            record,
            poll: record.poll(),
            meta: at.meta,
            root: std::ptr::from_ref(at).addr(),
        }
    })
}

/// Puts a frame in force until it is dropped, whichever way the poll ends.
struct Entered<'a> {
    frame: &'a PollFrame,
    slot: &'a Slot,
    poll: PollNumber,
    began: clock::Ticks,
}

impl<'a> Entered<'a> {
    #[inline(always)]
    fn new(frame: &'a PollFrame, slot: &'a Slot, poll: PollNumber, began: clock::Ticks) -> Self {
        // A signal handler on this thread must not find a frame that is not written yet. When it is taken out, the phase,
        // which is stored with Release afterwards, keeps the order.
        compiler_fence(Ordering::Release);
        CURRENT.with(|current| current.set(frame));
        Entered {
            frame,
            slot,
            poll,
            began,
        }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "records live for ever")]
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.frame.outer));
        let now = clock::ticks();
        self.slot.now.store(now, Ordering::Relaxed);
        // SAFETY: records live for ever, and this one is held by the wrapper.
        let record = unsafe { &*self.frame.record };
        match now.checked_sub(self.began) {
            Some(length) => record.end_poll(self.poll, length, now),
            None => self.end_and_tell(record, now),
        }
    }
}

impl Entered<'_> {
    /// An execution trace is told of the end; or another core's clock is a little ahead.
    #[cold]
    #[inline(never)]
    fn end_and_tell(&self, record: &Record, now: clock::Ticks) {
        if self.began & TOLD_AT_ITS_END != 0 {
            trace::poll_end(record, self.slot, now);
        }
        let length = now.saturating_sub(self.began & !TOLD_AT_ITS_END);
        record.end_poll(self.poll, length, now);
    }
}

/// Whether a poll of ours is under way on this thread.
pub(super) fn is_polling() -> bool {
    !CURRENT.with(Cell::get).is_null()
}

/// Polls on the thread of `slot`: calls `inner` with a waker of this record and of a new generation. The record has
/// been prepared, if it needs that.
#[inline(always)]
#[expect(unsafe_code, reason = "makes a waker")]
pub(super) fn poll<R>(
    record: &RecordRef,
    poll_flags: PollFlags,
    meta: &'static FutureMeta,
    slot: &Slot,
    began: clock::Ticks,
    inner: impl FnOnce(&mut Context<'_>) -> R,
) -> R {
    let poll = record.begin_poll(slot.number(), began);
    let generation = record.generation(poll, poll_flags);
    let data = record
        .as_ptr()
        .map_addr(|address| address | generation)
        .cast::<()>();
    let frame = PollFrame {
        data: data.addr(),
        record: record.as_ptr(),
        meta,
        outer: CURRENT.with(Cell::get),
    };
    let _entered = Entered::new(&frame, slot, poll, began);
    // SAFETY: the vtable is made for such data. The waker owns no reference and is never dropped: it borrows the
    // wrapper's, which outlives the poll.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) });
    inner(&mut Context::from_waker(&waker))
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
    let poll = record.begin_poll(slot.number(), began);
    let frame = PollFrame {
        data: 0,
        record: record.as_ptr(),
        meta,
        outer: CURRENT.with(Cell::get),
    };
    let _entered = Entered::new(&frame, slot, poll, began);
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
    let record = data
        .cast::<Record>()
        .map_addr(|address| address & !(GENERATIONS - 1));
    // SAFETY: without the generation it is the address of a record, and records live for ever.
    unsafe { &*record }
}

static CLONE_FRAME: AnchorFrame = AnchorFrame::new();

/// A leaf keeps the waker: a registration, if it is the polling thread during the very poll that the waker is of. Any
/// other clone counts a reference and nothing else.
#[inline(never)]
#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called through the vtable, so `data` is ours.
    let record = unsafe { record_of(data) };
    record.retain();
    let frame = CURRENT.with(Cell::get);
    // SAFETY: null or a frame further up on this stack, see `current`.
    if let Some(poll) = unsafe { frame.as_ref() }
        && poll.data == data.addr()
    {
        let anchor = here!();
        let last = record.last_waits();
        // SAFETY: this function took the anchor just now, and the frame is a local of a poll further up.
        if last.is_some_and(|last| unsafe { template::repeats(&anchor, frame.addr(), last) }) {
            record.repeat_waits();
        } else {
            // SAFETY: the same, and this function is still running while that one does.
            unsafe { register(record, poll, anchor, last) };
        }
    }
    RawWaker::new(data, &VTABLE)
}

/// A registration that is not the only one of its poll, or not that of the poll before.
///
/// # Safety
/// [`clone`] took the anchor, and `poll` is a local further up on this stack.
#[inline(never)]
#[expect(unsafe_code, reason = "captures")]
unsafe fn register(
    record: &Record,
    poll: &PollFrame,
    anchor: Anchor,
    last: Option<&'static WaitSet>,
) {
    let earlier = record
        .waits_of_this_poll()
        .or_else(|| template::carried(record.waits_to_carry()?));
    let root = std::ptr::from_ref(poll).addr();
    // SAFETY: by this function's own contract.
    let waits = unsafe { template::capture(&CLONE_FRAME, anchor, root, poll.meta, earlier, last) };
    record.set_waits(waits);
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn wake(data: *const ()) {
    // SAFETY: called through the vtable, which owns a reference; it is given back when `record` goes.
    unsafe {
        let record = RecordRef::from_raw(record_of(data));
        note_wake(&record, data, true);
        record.wake();
    }
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called through the vtable; the caller's waker holds a reference (or is the poll's own), so the record
    // was polled.
    unsafe {
        let record = record_of(data);
        note_wake(record, data, false);
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
fn note_wake(record: &Record, data: *const (), consumed: bool) {
    // SAFETY: null or a frame further up on this stack, see `current`.
    let poll = CURRENT.with(|current| unsafe { current.get().as_ref() });
    if let Some(poll) = poll
        && std::ptr::eq(poll.record, record)
        && poll.data != data.addr()
    {
        record.note_stale_self_wake();
    }
    record.note_wake(
        consumed,
        || {
            let slot = threads::slot();
            // A closure may have run for an hour.
            let is_in_a_poll = poll.is_some_and(|poll| poll.data != 0);
            if !is_in_a_poll {
                // A driver or timer on a worker: what the worker polls next begins no earlier than this.
                slot.stamp_wake(clock::ticks());
            }
            // Inside a poll the thread's last stamp is the begin of that poll, and it has to do: the clock costs more
            // than everything else that a wake does. It is read where a profile asks how long the task has waited.
            if demand::any() {
                return trace::wake(record, slot);
            }
            slot.now.load(Ordering::Relaxed)
        },
        || {
            // SAFETY: records live for ever.
            match poll.map_or(0, |poll| unsafe { &*poll.record }.id()) {
                0 => Waking::Thread(threads::current()),
                id => Waking::Task(id),
            }
        },
    );
}
