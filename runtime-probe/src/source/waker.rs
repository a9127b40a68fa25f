//! The waker, which captures the stacks.
//!
//! A leaf that has to wait clones the waker inside its own `poll`, on the task's stack. So `clone` runs where the task
//! suspends, for every leaf, and captures the stack. `wake` runs on the thread that makes the task runnable.
//!
//! The data pointer is the record's address, with the poll's generation in its free bits. Each poll has another generation,
//! so `will_wake` is false for a waker that a leaf still holds: the leaf clones again, and every wait is seen. There is
//! one vtable for each way in which a record's slot is written, so that a wake need not ask for it. Rejected: several
//! vtables instead of generations. A leaf that was not polled once looked registered at the next poll, and a linker may
//! merge equal vtables.
//!
//! Allowed here: the record's atomics, this thread's cells, a capture. Forbidden: allocating on the known path,
//! blocking, panicking, calling the user's code except for the task's own waker.

use super::trace;
use crate::clock;
use crate::demand;
use crate::primitive::Ordering;
#[cfg(feature = "sync")]
use crate::registry::locks::Who;
use crate::registry::polls::{Here, PollFrame};
use crate::registry::slab::RecordRef;
#[cfg(feature = "rt")]
use crate::registry::task;
use crate::registry::task::{Generation, Kind, Record, TOLD_AT_ITS_END, Waking, Written};
use crate::registry::threads::{self, Slot};
#[cfg(feature = "sync")]
use crate::registry::waiters::Polled;
use crate::stack::anchor::{Anchor, here};
use crate::stack::raw::{FutureMeta, HasMeta};
use crate::stack::template::{self, AnchorFrame, WholeThread};
use crate::stack::wait_set::WaitSet;
use crate::tally::waits::{How, WaitSite};
#[cfg(feature = "sync")]
use std::cell::Cell;
use std::ptr::null;
use std::task::{Context, RawWaker, RawWakerVTable};

/// Of records whose slot is written once.
pub(super) static WRITTEN_ONCE: RawWakerVTable =
    RawWakerVTable::new(clone::<ONCE>, wake::<ONCE>, wake_by_ref::<ONCE>, drop_waker);

/// Of records whose slot is written often.
pub(super) static WRITTEN_OFTEN: RawWakerVTable = RawWakerVTable::new(
    clone::<OFTEN>,
    wake::<OFTEN>,
    wake_by_ref::<OFTEN>,
    drop_waker,
);

const ONCE: bool = false;
const OFTEN: bool = true;

/// Keeps a frame in force until it is dropped, also after a panic.
struct Entered<'a>(&'a PollFrame);

impl<'a> Entered<'a> {
    #[inline(always)]
    fn new(here: &Here, frame: &'a PollFrame) -> Self {
        here.enter(frame);
        Entered(frame)
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let here = Here::get();
        here.leave(self.0);
        let now = clock::ticks();
        let slot = here.slot();
        slot.now.store(now, Ordering::Relaxed);
        let record = self.0.record();
        // Only this thread has written both since the begin of the poll.
        let began = record.since();
        match now.checked_sub(began) {
            Some(length) => record.end_poll(length, now),
            None => end_and_tell(record, slot, began, now),
        }
    }
}

/// Ends a poll whose end is written to the execution trace, or whose begin is ahead by another core's counter.
#[cold]
#[inline(never)]
fn end_and_tell(record: &Record, slot: &Slot, began: clock::Ticks, now: clock::Ticks) {
    let end = (began & TOLD_AT_ITS_END != 0).then(|| trace::end_of_poll(record));
    let length = now.saturating_sub(began & !TOLD_AT_ITS_END);
    record.end_poll(length, now);
    if let Some(end) = end {
        end.write(slot, now);
    }
}

/// The id of the task that runs on this thread; 0 for none.
#[inline(always)]
pub(crate) fn current_task() -> u64 {
    // Outside of any poll it is that of no task, 0.
    Here::get().innermost().record().id()
}

/// The poll under way on this thread, as [`PollFrame::mark`], and the task's record. 0 outside of any poll.
/// Async-signal-safe.
#[inline(always)]
pub(super) fn under_way<'a>() -> (u64, Option<&'a Record>) {
    match Here::get().innermost().if_a_poll() {
        Some(frame) => (frame.mark(), Some(frame.record())),
        None => (0, None),
    }
}

/// The task that runs on this thread, or else the thread, packed.
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

/// The id of the task that this thread polls, and the time: the begin of that poll, because the clock costs more than the
/// rest of the end of a wait. `None` outside of any poll.
///
/// In a closure, and while anything is switched on that concerns polls, the time is read from the clock.
#[cfg(feature = "sync")]
#[inline(always)]
pub(super) fn task_and_time() -> Option<(u64, clock::Ticks)> {
    let here = Here::get();
    let poll = here.innermost().if_a_poll()?;
    let record = poll.record();
    let time = match here.slot().has_reasons() {
        // Not the thread's last stamp, which may be older than the wake that this poll follows.
        false => record.since() & !TOLD_AT_ITS_END,
        true => clock::ticks(),
    };
    Some((record.id(), time))
}

/// The poll under way on this thread, with the task or else the thread, packed with these bits, and its registrations so
/// far.
#[cfg(feature = "sync")]
#[inline(always)]
pub(super) fn polled(bits: u64) -> Polled {
    match current() {
        Some(record) => Polled {
            who: record.id() | bits,
            poll: record.poll(),
            waits: record.waits_of_this_poll(),
        },
        None => Polled {
            who: current_packed() | bits,
            poll: 0,
            waits: None,
        },
    }
}

/// How many registrations the poll under way on this thread has made so far; 0 outside of any.
#[cfg(feature = "tracing-subscriber")]
pub(super) fn registrations() -> u16 {
    let waits = current().and_then(Record::waits_of_this_poll);
    waits.map_or(0, |waits| waits.len)
}

/// The record of the task that runs on this thread.
#[inline(always)]
fn current<'a>() -> Option<&'a Record> {
    let poll = Here::get().innermost().if_a_poll();
    poll.map(PollFrame::record)
}

/// Removes the last registration of the poll under way on this thread.
#[cfg(feature = "rt")]
pub(crate) fn withdraw() {
    if let Some(record) = current() {
        record.withdraw_wait();
    }
}

/// The address of the frame of the task's poll under way on this thread, as its identity; 0 outside of any.
pub(super) fn place() -> usize {
    root().map_or(0, |(frame, _)| frame)
}

/// The current stack of this thread: of the task that it polls, or else of the whole thread.
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

/// The root of the stack of the polled task, and its future. Nested futures belong to their task.
fn root() -> Option<(usize, &'static FutureMeta)> {
    let mut frame = Here::get().innermost().if_a_poll()?;
    while frame.record().kind() == Kind::Nested
        && let Some(outer) = frame.outer()
    {
        frame = outer;
    }
    Some((std::ptr::from_ref(frame).addr(), frame.meta()))
}

/// A poll that a signal interrupted.
#[derive(Clone, Copy)]
pub(crate) struct Interrupted {
    /// The record of the task, the blocking closure or the nested future.
    pub(crate) record: &'static Record,
    /// The number of the poll.
    pub(crate) poll: u64,
    pub(crate) meta: &'static FutureMeta,
    /// The stack address at which the task's own stack ends.
    pub(crate) root: usize,
    /// Where it has registered in this poll so far, or else in the last one that registered anywhere.
    pub(crate) waits: Option<&'static WaitSet>,
    /// Where it had registered before, if it has in this poll and does not only repeat that.
    pub(crate) before: Option<&'static WaitSet>,
}

/// The polls under way on this thread, the innermost first: of a nested future, of its task, and those around a
/// `block_on` inside of that task.
///
/// Async-signal-safe: see [`Here::polls`].
pub(crate) fn interrupted() -> impl Iterator<Item = Interrupted> {
    let here = Here::get();
    let slot = here.slot();
    here.polls().map(move |at| {
        let record = at.record();
        Interrupted {
            record,
            poll: record.poll(),
            meta: at.meta(),
            root: std::ptr::from_ref(at).addr(),
            waits: record.last_waits(),
            before: slot.kept_waits(at.mark()),
        }
    })
}

/// The waker of a poll that has begun in its record. Two words, which a function returns in registers.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    /// The record with the generation.
    data: *const (),
    table: &'static RawWakerVTable,
}

impl Begun {
    /// `table` is [`WRITTEN_ONCE`] or [`WRITTEN_OFTEN`], by the record.
    #[inline(always)]
    pub(super) fn new(
        record: &Record,
        generation: Generation,
        table: &'static RawWakerVTable,
    ) -> Self {
        // `map_addr` would take three instructions more.
        let address = std::ptr::from_ref(record).expose_provenance();
        let data = std::ptr::without_provenance(generation.with(address));
        Begun { data, table }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "records live for ever")]
    pub(super) fn record<'a>(self) -> &'a Record {
        // SAFETY: `new` has made the data of a record.
        unsafe { Record::of_waker(self.data) }
    }
}

/// Runs a poll of this record that has begun: calls `inner` with its waker. If `is_over`, the record is closed at once: until
/// the future is dropped, it would be a task that nothing can wake.
#[inline(always)]
#[expect(unsafe_code, reason = "makes a waker")]
pub(super) fn poll<R>(
    record: &Record,
    begun: Begun,
    inner: impl FnOnce(&mut Context<'_>) -> R,
    is_over: impl FnOnce(&R) -> bool,
) -> R {
    let here = Here::get();
    // SAFETY: the vtable is one of ours, and the data are of this record.
    let frame = unsafe { PollFrame::new(record, begun.data, begun.table, here) };
    let entered = Entered::new(here, &frame);
    let result = inner(&mut Context::from_waker(&entered.0.waker));
    if is_over(&result) {
        entered.0.record().close();
    }
    result
}

/// Sets the outer record of a nested future.
#[inline(always)]
pub(super) fn note_outer(record: &Record) {
    record.set_outer(current().map_or(null(), std::ptr::from_ref));
}

/// Runs a closure as a task of its own.
// Never inlined, as the wrapper's poll: otherwise tokio's poll of the closure would be taken for the closure's root.
#[cfg(feature = "rt")]
#[inline(never)]
#[expect(unsafe_code, reason = "makes a waker")]
pub(super) fn run<R>(record: &Record, inner: impl FnOnce() -> R) -> R {
    let (slot, mut began) = (threads::slot(), clock::ticks());
    slot.now.store(began, Ordering::Relaxed);
    if demand::any() {
        began = trace::closure_begin(record, slot, began);
    }
    record.begin_poll(record.next_poll(), slot.number(), began);
    let _busy = slot.runs_a_closure();
    let here = Here::get();
    let begun = Begun::new(record, Generation::NONE, &WRITTEN_ONCE);
    // SAFETY: the vtable is one of ours, and the data are of this record.
    let frame = unsafe { PollFrame::new(record, begun.data, begun.table, here) };
    let _entered = Entered::new(here, &frame);
    let result = inner();
    record.close();
    result
}

/// (address of the record, generation) of a waker's two words, if it is ours.
#[cfg(feature = "rt")]
pub(super) fn record_and_generation(data: usize, table: usize) -> Option<(usize, Generation)> {
    let is_ours = [&raw const WRITTEN_ONCE, &raw const WRITTEN_OFTEN]
        .iter()
        .any(|ours| ours.addr() == table);
    is_ours.then(|| (task::waker_data::address(data), Generation::of(data)))
}

/// Of [`clone`], by how the slot is written.
static CLONE_FRAMES: [AnchorFrame; 2] = [AnchorFrame::new(), AnchorFrame::new()];

/// A leaf clones the waker. It is a registration if the polling thread does so, during the poll that the waker belongs
/// to. Any other clone only counts a reference.
#[inline(never)]
#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn clone<const WRITTEN: bool>(data: *const ()) -> RawWaker {
    // First: see `registry::polls`.
    let poll = Here::get().innermost();
    if poll.data() == data.addr() {
        let record = poll.record();
        record.retain_in_poll();
        let anchor = here!();
        // SAFETY: this function took the anchor just now, and the frame is a local of a poll further up.
        if unsafe { template::repeats(&anchor, record.last_path()) } {
            record.repeat_waits();
            // From the frame, which is in the cache: a static's address may be in a table elsewhere.
            return RawWaker::new(data, poll.waker.vtable());
        }
        let Anchor { pc, sp, fp } = anchor;
        // SAFETY: the same, and this function is still running while that one does.
        unsafe { register::<WRITTEN>(poll, pc, sp, fp) };
    } else {
        // SAFETY: called through the vtable, so `data` is ours.
        unsafe { Record::of_waker(data) }.retain();
    }
    RawWaker::new(data, table::<WRITTEN>())
}

#[inline(always)]
const fn table<const WRITTEN: bool>() -> &'static RawWakerVTable {
    match WRITTEN {
        ONCE => &WRITTEN_ONCE,
        OFTEN => &WRITTEN_OFTEN,
    }
}

/// How the slot is written.
#[inline(always)]
const fn written<const WRITTEN: bool>() -> Written {
    match WRITTEN {
        ONCE => Written::Once,
        OFTEN => Written::Often,
    }
}

/// A registration that is not the only one of its poll, or does not repeat that of the previous poll by a fixed path. The
/// anchor is passed in registers, so that [`clone`] needs no memory for it.
///
/// # Safety
/// [`clone`] took the anchor, and `poll` is a local further up on this stack.
#[inline(never)]
#[expect(unsafe_code, reason = "captures")]
unsafe fn register<const WRITTEN: bool>(poll: &PollFrame, pc: usize, sp: usize, fp: usize) {
    let record = poll.record();
    let anchor = Anchor { pc, sp, fp };
    let is_first = record.has_no_waits_yet();
    // The task may wait at several places in turn.
    let next = is_first.then(|| {
        // SAFETY: by this function's own contract; the last waits are those of the record's task, and so is this poll.
        unsafe { template::follows(&anchor, record.last_waits()) }
    });
    if let Some(next) = next.flatten() {
        let slot = Here::get().slot();
        slot.keep_waits(poll.mark(), record.last_waits());
        return record.set_waits(Some(next));
    }
    // SAFETY: passed on.
    unsafe { register_otherwise::<WRITTEN>(poll, pc, sp, fp, is_first) };
}

/// A registration that does not follow the previous one as an earlier time. `is_first`: [`Record::has_no_waits_yet`].
///
/// # Safety
/// As for [`register`].
#[inline(never)]
#[expect(unsafe_code, reason = "captures")]
unsafe fn register_otherwise<const WRITTEN: bool>(
    poll: &PollFrame,
    pc: usize,
    sp: usize,
    fp: usize,
    is_first: bool,
) {
    let record = poll.record();
    let (anchor, root) = (Anchor { pc, sp, fp }, std::ptr::from_ref(poll).addr());
    let last = record.last_waits();
    // SAFETY: by this function's own contract.
    if last.is_some_and(|last| unsafe { template::repeats_loosely(&anchor, root, last) }) {
        return record.repeat_waits();
    }
    let of_this_poll = record.waits_of_this_poll();
    let slot = Here::get().slot();
    if of_this_poll.is_none() {
        slot.keep_waits(poll.mark(), last);
    }
    let earlier = of_this_poll.or_else(|| template::carried(record.waits_to_carry()?));
    let frame = &CLONE_FRAMES[usize::from(WRITTEN)];
    // SAFETY: by this function's own contract.
    let waits = unsafe { template::capture(frame, anchor, root, poll.meta(), earlier, last) };
    if is_first && let (Some(last), Some(set)) = (last, waits) {
        // One time in 16, by the thread's last stamp.
        let is_chosen = slot.now.load(Ordering::Relaxed) >> 4 & 15 == 0;
        last.set_successor(set, is_chosen);
    }
    record.set_waits(waits);
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn wake<const WRITTEN: bool>(data: *const ()) {
    // First: see `registry::polls`.
    let here = Here::get();
    // SAFETY: called through the vtable, which owns a reference. It is dropped at the end; if the task's waker panics, it is
    // leaked, so that nothing has to be kept for that. The slot is written as the vtable says.
    unsafe {
        let record = note_wake(here, data, true);
        record.wake_by_waker(written::<WRITTEN>());
        drop(RecordRef::from_raw(record));
    }
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn wake_by_ref<const WRITTEN: bool>(data: *const ()) {
    let here = Here::get();
    // SAFETY: called through the vtable; the caller's waker holds a reference (or is the poll's own), so the record
    // was polled. The slot is written as the vtable says.
    unsafe { note_wake(here, data, false).wake_by_waker(written::<WRITTEN>()) };
}

#[expect(unsafe_code, reason = "a waker's vtable")]
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: called through the vtable, which owns a reference.
    let record = unsafe { RecordRef::from_raw(Record::of_waker(data)) };
    let at = std::ptr::from_ref::<Record>(&record);
    record.drop_or_keep(|| current().is_some_and(|polled| std::ptr::eq(polled, at)));
}

/// Records a wake. Returns the record.
///
/// # Safety
/// `data` is that of a waker of ours.
#[inline(always)]
#[expect(unsafe_code, reason = "a waker's data")]
unsafe fn note_wake<'a>(here: &Here, data: *const (), consumed: bool) -> &'a Record {
    let poll = here.innermost();
    if poll.data() == data.addr() {
        // The task wakes itself. It becomes runnable at the end of that poll, which has a timestamp anyway.
        let record = poll.record();
        let by = record.id();
        if by == 0 {
            note_wake_closely(record, consumed, Through::ThisPoll);
        } else if let Some(phase) = record.phase_to_wake() {
            record.note_first_wake(phase, consumed, 0, by, true);
        }
        return record;
    }
    // SAFETY: by this function's own contract.
    let record = unsafe { Record::of_waker(data) };
    let waking = poll.record();
    let by = waking.id();
    // Outside of any poll the id is 0. A waker of this task is one of another poll.
    if std::ptr::eq(waking, record) || by == 0 {
        note_wake_by_no_other(here, record, consumed);
        return record;
    }
    let Some(phase) = record.phase_to_wake() else {
        return record;
    };
    if phase.is_polling() {
        record.note_first_wake(phase, consumed, 0, by, false);
    } else if !here.slot().has_reasons() {
        // Inside a poll, the thread's last stamp (the begin of that poll) is used: the clock costs more than the rest
        // of a wake. It is read only if a profile needs the time of the wait.
        let at = here.slot().now.load(Ordering::Relaxed);
        record.note_first_wake(phase, consumed, at, by, false);
    } else if here.slot().is_wake_only_traced() {
        let at = clock::ticks();
        record.note_first_wake(phase, consumed, at, by, false);
        trace::plain_wake(here, record, here.slot(), at);
    } else {
        note_wake_closely(record, consumed, Through::AnotherPoll);
    }
    record
}

/// The poll that a waker is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Through {
    /// The innermost one on this thread.
    ThisPoll,
    /// Of another task, or an earlier one.
    AnotherPoll,
}

/// A wake outside of any poll, as by tokio's drivers. Or by a task without an id, or of the polled task itself through a waker
/// of another poll.
#[inline(never)]
fn note_wake_by_no_other(here: &Here, record: &Record, consumed: bool) {
    let slot = here.slot();
    if slot.has_reasons() || here.is_in_a_poll() {
        return note_wake_closely(record, consumed, Through::AnotherPoll);
    }
    record.note_wake(
        consumed,
        || stamped_wake(slot),
        || Waking::Thread(slot.number()),
    );
}

/// The time of a wake that no poll makes, as the thread's last stamp.
#[inline(always)]
fn stamped_wake(slot: &Slot) -> clock::Ticks {
    let now = clock::ticks();
    slot.stamp_wake(now);
    now
}

/// A wake outside of any poll. Or inside one: of a waiting task, if its time is needed; by a closure; by a task without an
/// id; through a waker of an older generation.
#[cold]
#[inline(never)]
fn note_wake_closely(record: &Record, consumed: bool, through: Through) {
    let here = Here::get();
    let Some(poll) = here.innermost().if_a_poll() else {
        return note_wake_elsewhere(record, None, consumed);
    };
    let slot = here.slot();
    let waking = poll.record();
    let by_itself = std::ptr::eq(waking, record);
    if by_itself && through == Through::AnotherPoll {
        record.note_stale_self_wake();
    }
    let Some(phase) = record.phase_to_wake() else {
        return;
    };
    if !phase.is_polling() && waking.kind() == Kind::Blocking {
        return note_wake_elsewhere(record, Some(poll), consumed);
    }
    let by = match waking.id() {
        0 => Waking::Thread(slot.number()),
        id => Waking::Task(id),
    };
    let at = match phase.is_polling() {
        true => 0,
        false if demand::any() => clock::ticks(),
        false => slot.now.load(Ordering::Relaxed),
    };
    record.note_first_wake(phase, consumed, at, by.pack(), by_itself);
    if !phase.is_polling() && demand::any() {
        trace::wake(record, slot, at);
    }
}

/// A wake outside of any poll, or by a closure, whose begin is no substitute for the time: it may have run for an hour. The
/// driver or a timer on a worker wakes outside of polls, and the worker's next poll begins later than that.
#[inline(never)]
fn note_wake_elsewhere(record: &Record, closure: Option<&PollFrame>, consumed: bool) {
    record.note_wake(
        consumed,
        || {
            let slot = threads::slot();
            let now = stamped_wake(slot);
            trace::wake(record, slot, now);
            now
        },
        || match closure.map_or(0, |closure| closure.record().id()) {
            0 => Waking::Thread(threads::current()),
            id => Waking::Task(id),
        },
    );
}
