//! The entries of execution traces: polls, wakes, spawns and parks of each thread.
//!
//! Allowed: stores into this thread's chunk ([`crate::events::chunks`]), loads of the record. Forbidden: locks,
//! allocation, panics. The exceptions are [`spawn`] and [`dropped`], which allocate for a new site.
//!
//! While no trace is taken, a poll, a spawn and a wake inside a poll execute no instruction for it. A traced poll
//! begins at a marked time ([`TOLD_AT_ITS_END`]), which makes its end call this module. A trace changes the switch that
//! spawns read anyway.

mod said;

use super::regions;
use crate::clock::{self, Ticks};
use crate::demand::Demand;
use crate::events::chunks::{Chunks, Entry, MOST_MORE, MOST_PAYLOAD, TRACE};
use crate::labels::LabelSet;
use crate::primitive::{AtomicU64, Ordering};
use crate::registry::polls::Here;
use crate::registry::sites::Site;
use crate::registry::task::{Kind, Record, TOLD_AT_ITS_END, View};
#[cfg(all(feature = "interpose", target_os = "linux"))]
use crate::registry::threads::ThreadNumber;
use crate::registry::threads::{self, Slot};
use crate::stack::wait_set::WaitSet;
#[cfg(all(feature = "interpose", target_os = "linux"))]
use crate::sys::own_thread;

pub(crate) use said::{By, MOST_REGISTRATIONS, Said, SpanStep, Step, Text};
pub(super) use said::{log, said};
#[cfg(feature = "tracing-subscriber")]
pub(super) use said::{span, span_place};

/// A tick of the counter of x86_64 is a third of a nanosecond. 32 ticks are a unit of 10 ns, so the delta of an entry
/// can be 0.7 ms. Other counters are slower.
const UNIT_SHIFT: u32 = if cfg!(target_arch = "x86_64") { 5 } else { 0 };
pub(super) const UNIT: Ticks = 1 << UNIT_SHIFT;

/// A record's address without its lowest bits, which are 0.
const RECORD_SHIFT: u32 = align_of::<Record>().trailing_zeros();
/// The highest bit of the payload: the poll is inside of another one.
const INSIDE: u64 = 1 << MOST_PAYLOAD.ilog2();
/// Interned values are aligned to words.
const POINTER_SHIFT: u32 = 3;
/// The bits of a set of labels lie above those of a pointer.
const LABELS_SHIFT: u32 = 48;
const BELOW_LABELS: u64 = (1 << LABELS_SHIFT) - 1;

/// The kinds of entries. The payload is the record, unless noted otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    PollBegin = 1,
    /// The first poll of a task, with its id.
    FirstPollBegin,
    /// The end of a poll, with the set of registrations; also the next two.
    PollWaits,
    PollYields,
    PollEnds,
    Wake,
    /// With the id, if it is known, and the site with the labels.
    Spawn,
    /// With the id, and the site with the labels, because a flight recorder may not have the spawn.
    Dropped,
    /// A finished poll of a foreign task, with its begin.
    ForeignPoll,
    Park,
    Unpark,
    /// With the id.
    ClosureBegin,
    /// User tasks, regions and logs, see [`said()`].
    Said,
    /// The innermost poll begins (1) or ends (0) a `block_in_place`.
    InPlace,
}

impl Code {
    const ALL: [Code; 14] = [
        Code::PollBegin,
        Code::FirstPollBegin,
        Code::PollWaits,
        Code::PollYields,
        Code::PollEnds,
        Code::Wake,
        Code::Spawn,
        Code::Dropped,
        Code::ForeignPoll,
        Code::Park,
        Code::Unpark,
        Code::ClosureBegin,
        Code::Said,
        Code::InPlace,
    ];

    fn of(number: u8) -> Option<Code> {
        let index = usize::from(number).checked_sub(1)?;
        Code::ALL.get(index).copied()
    }

    /// The number of further words.
    fn more(self) -> usize {
        match self {
            Code::Spawn | Code::Dropped | Code::Said => 2,
            Code::FirstPollBegin | Code::ForeignPoll | Code::ClosureBegin => 1,
            _ => 0,
        }
    }
}

/// The number of lost entries.
static LOST: AtomicU64 = AtomicU64::new(0);

#[inline(always)]
fn write(slot: &Slot, at: Ticks, code: Code, payload: u64, more: [u64; MOST_MORE]) {
    append(slot, at, code, payload, more, code.more());
}

/// The same, given the number of further words.
#[inline(always)]
fn append(slot: &Slot, at: Ticks, code: Code, payload: u64, more: [u64; MOST_MORE], words: usize) {
    let entry = Entry {
        at: at >> UNIT_SHIFT,
        kind: code as u8,
        payload,
        more,
    };
    if !threads::append(slot, &entry, words) {
        count_lost();
    }
}

/// The same for an entry of one word. The last act of its callers: then they keep no registers for the rare case.
#[inline(always)]
fn write_here(here: &Here, slot: &Slot, at: Ticks, first: u64) {
    let at = at >> UNIT_SHIFT;
    if !threads::append_word(here, at, first) {
        write_to_next(slot, at, first);
    }
}

#[cold]
#[inline(never)]
fn write_to_next(slot: &Slot, at: u64, first: u64) {
    if !threads::append_to_next(slot, &Entry::of_first(at, first), 0) {
        count_lost();
    }
}

#[cold]
fn count_lost() {
    LOST.fetch_add(1, Ordering::Relaxed);
}

fn name(record: &Record) -> u64 {
    std::ptr::from_ref(record).addr() as u64 >> RECORD_SHIFT
}

fn pointer<T>(to: Option<&'static T>) -> u64 {
    to.map_or(0, |to| {
        std::ptr::from_ref(to).addr() as u64 >> POINTER_SHIFT
    })
}

/// Writes the begin of a poll. Returns the begin, marked if the poll's end must be written, too.
pub(super) fn poll_begin(record: &Record, slot: &Slot, began: Ticks) -> Ticks {
    // A nested future belongs to its task.
    if record.kind() == Kind::Nested {
        return began;
    }
    let here = Here::get();
    match record.poll() {
        0 => {
            let began = after_the_wake(record, began);
            first_poll_begin(record, slot, began, polled(here, record));
            began | TOLD_AT_ITS_END
        }
        _ => plain_poll_begin(here, record, slot, began),
    }
}

/// The same for a poll of a task that waited.
#[inline(always)]
pub(super) fn plain_poll_begin(here: &Here, record: &Record, slot: &Slot, began: Ticks) -> Ticks {
    let began = after_the_wake(record, began);
    let first = Entry::first(Code::PollBegin as u8, polled(here, record));
    write_here(here, slot, began, first);
    began | TOLD_AT_ITS_END
}

/// The begin of a poll after the wake, which may be of another thread: an order by time must have the wake first.
#[inline(always)]
fn after_the_wake(record: &Record, began: Ticks) -> Ticks {
    match cfg!(tokio_unstable) {
        true => began.max(record.ready_at() + UNIT),
        // Without hooks the thread may have polled a foreign task meanwhile.
        false => clock::ticks(),
    }
}

/// The payload of a poll's begin.
#[inline(always)]
fn polled(here: &Here, record: &Record) -> u64 {
    let is_inside = here.is_in_a_poll();
    name(record) | if is_inside { INSIDE } else { 0 }
}

#[cold]
#[inline(never)]
fn first_poll_begin(record: &Record, slot: &Slot, began: Ticks, polled: u64) {
    let more = [record.id(), 0];
    write(slot, began, Code::FirstPollBegin, polled, more);
}

/// Writes the begin of a closure. Returns its begin, as [`poll_begin`] does.
#[cfg(feature = "rt")]
#[cold]
pub(super) fn closure_begin(record: &Record, slot: &Slot, now: Ticks) -> Ticks {
    if !Demand::Trace.is_on() {
        return now;
    }
    write(
        slot,
        now,
        Code::ClosureBegin,
        name(record),
        [record.id(), 0],
    );
    now | TOLD_AT_ITS_END
}

/// The entry of the end of a traced poll.
#[derive(Clone, Copy)]
pub(super) struct PollEnd(u64);

/// The end of a traced poll, which has to be made before the record has it.
#[inline(always)]
pub(super) fn end_of_poll(record: &Record) -> PollEnd {
    let is_over = record.is_over() || std::thread::panicking();
    let (code, waits) = match record.is_woken() {
        _ if is_over => (Code::PollEnds, None),
        true => (Code::PollYields, record.waits_of_this_poll()),
        false => (Code::PollWaits, record.waits_of_this_poll()),
    };
    PollEnd(Entry::first(code as u8, pointer(waits)))
}

impl PollEnd {
    /// Writes the end.
    #[inline(always)]
    pub(super) fn write(self, slot: &Slot, now: Ticks) {
        write_here(Here::get(), slot, now, self.0);
    }
}

/// Writes the wake of a waiting task by a poll, with nothing switched on but the trace.
#[inline(always)]
pub(super) fn plain_wake(here: &Here, record: &Record, slot: &Slot, now: Ticks) {
    if record.kind() != Kind::Nested {
        let first = Entry::first(Code::Wake as u8, name(record));
        write_here(here, slot, now, first);
    }
}

/// Writes the wake of a waiting task, at a time that was read before.
#[inline(always)]
pub(super) fn wake(record: &Record, slot: &Slot, now: Ticks) {
    if Demand::Trace.is_on() {
        plain_wake(Here::get(), record, slot, now);
    }
}

/// Writes the spawn of a task or closure, before tokio owns it.
#[cold]
pub(super) fn spawn(record: &Record, now: Ticks) {
    if !Demand::Trace.is_on() || record.kind() == Kind::Nested {
        return;
    }
    let slot = threads::slot();
    let user = regions::current();
    if user.id != 0 {
        said::spawns(slot, now, user);
    }
    write(slot, now, Code::Spawn, name(record), id_and_site(record));
}

/// (id of a task, its spawn site with its labels).
fn id_and_site(record: &Record) -> [u64; MOST_MORE] {
    let labels = u64::from(record.labels().number());
    let site = pointer(Some(record.site())) & BELOW_LABELS;
    [record.id(), site | labels << LABELS_SHIFT]
}

/// Records that the labels of a task changed.
#[cold]
pub(super) fn labels(record: &Record, before: LabelSet, now: LabelSet) {
    // A nested future is a part of its task: its labels are not those of the task.
    if Demand::Trace.is_on() && record.kind() != Kind::Nested {
        let slot = threads::slot();
        said::labels(slot, clock::ticks(), name(record), before, now);
    }
}

/// Writes the end of a task, finished or not.
#[cold]
pub(super) fn dropped(record: &Record) {
    if Demand::Trace.is_on() && record.kind() != Kind::Nested {
        write(
            threads::slot(),
            clock::ticks(),
            Code::Dropped,
            name(record),
            id_and_site(record),
        );
    }
}

/// Writes a finished poll of a foreign task.
#[cfg(feature = "rt")]
pub(super) fn foreign_poll(record: &Record, slot: &Slot, began: Ticks, now: Ticks) {
    if Demand::Trace.is_on() {
        write(slot, now, Code::ForeignPoll, name(record), [began, 0]);
    }
}

/// Wraps the closure of a `block_in_place`.
#[cfg(feature = "rt-multi-thread")]
pub(crate) fn in_place<R>(closure: impl FnOnce() -> R) -> impl FnOnce() -> R {
    /// Also if the closure panics.
    struct InPlace(bool);
    impl Drop for InPlace {
        fn drop(&mut self) {
            if self.0 {
                note_in_place(0);
            }
        }
    }
    move || {
        let is_told = Demand::Trace.is_on();
        if is_told {
            note_in_place(1);
        }
        let _in_place = InPlace(is_told);
        closure()
    }
}

#[cfg(feature = "rt-multi-thread")]
#[cold]
fn note_in_place(is_in_place: u64) {
    if Here::get().is_in_a_poll() {
        let slot = threads::slot();
        write(slot, clock::ticks(), Code::InPlace, is_in_place, [0; 2]);
    }
}

/// Writes that this thread is about to wait for another one, unless it is idle. Returns whether it did. It does not
/// lock, allocate or wait.
#[cfg(all(feature = "interpose", target_os = "linux"))]
#[cold]
pub(super) fn blocks(at: Ticks) -> bool {
    let is_left_out = || {
        !super::is_on()
            || super::untracked::is_here()
            || own_thread::is_here()
            || regions::is_thread_blocked()
    };
    let slot = threads::if_listed().filter(|slot| slot.number() != ThreadNumber::default());
    let Some(slot) = slot.filter(|_| Demand::Trace.is_on() && !is_left_out()) else {
        return false;
    };
    let is_in_a_poll = is_in_a_poll(slot);
    // Between polls, a thread of a runtime waits for work.
    if !is_in_a_poll && slot.runtime.load(Ordering::Relaxed) != 0 {
        return false;
    }
    // An order by time must have the begin of the poll first.
    let at = match slot.foreign.load(Ordering::Relaxed) {
        0 => at,
        _ => at.max(slot.foreign_since.load(Ordering::Relaxed) + UNIT),
    };
    said::blocks(slot, at, is_in_a_poll, By::Any);
    true
}

/// Writes that this thread waits for a lock of ours. Returns whether it did.
#[cfg(feature = "sync")]
#[cold]
pub(super) fn blocks_at_a_lock() -> bool {
    super::start_here() && {
        let slot = threads::slot();
        said::blocks(slot, clock::ticks(), is_in_a_poll(slot), By::Lock);
        true
    }
}

/// Whether the thread polls a task, or runs a closure.
#[cfg(any(
    feature = "rt",
    feature = "sync",
    all(feature = "interpose", target_os = "linux")
))]
fn is_in_a_poll(slot: &Slot) -> bool {
    slot.foreign.load(Ordering::Relaxed) != 0 || Here::get().is_in_a_poll()
}

/// Writes the end of such a wait, with its stack if it is known. `is_wait`: otherwise there was nothing to wait for.
#[cfg(any(feature = "sync", all(feature = "interpose", target_os = "linux")))]
pub(super) fn unblocks(at: Ticks, waits: Option<&'static WaitSet>, is_wait: bool) {
    said::unblocks(threads::slot(), at, waits, is_wait);
}

/// Writes a park, unless a runtime inside of a poll or closure parks: the poll goes on.
#[cfg(feature = "rt")]
#[cold]
pub(super) fn park(slot: &Slot) {
    if Demand::Trace.is_on() && !is_in_a_poll(slot) {
        write(slot, clock::ticks(), Code::Park, 0, [0; 2]);
    }
}

/// Writes the unpark after such a park.
#[cfg(feature = "rt")]
#[cold]
pub(super) fn unpark(slot: &Slot) {
    if Demand::Trace.is_on() && !is_in_a_poll(slot) {
        write(
            slot,
            slot.now.load(Ordering::Relaxed),
            Code::Unpark,
            0,
            [0; 2],
        );
    }
}

/// The record of a task, as it is named in entries. A record is reused by later tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RecordName(u64);

impl RecordName {
    /// The record of this view.
    pub(crate) fn of(view: &View) -> Self {
        RecordName(view.address as u64 >> RECORD_SHIFT)
    }

    /// A view of the task that has the record now.
    #[expect(unsafe_code, reason = "records live for ever")]
    pub(crate) fn view(self) -> Option<View> {
        let record = (self.0 << RECORD_SHIFT) as *const Record;
        // SAFETY: 0, or the address of a record. Only `of` and the entries of this file make names, and records live
        // for ever.
        unsafe { record.as_ref() }?.view()
    }
}

/// How a poll ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    /// The task waits, with these registrations if it made any.
    Waits(Option<&'static WaitSet>),
    /// The task was woken in its poll.
    Yields(Option<&'static WaitSet>),
    Finished,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// `id`: known at the first poll.
    PollBegin {
        record: RecordName,
        id: Option<u64>,
        inside: bool,
    },
    /// The end of the innermost poll of the thread.
    PollEnd(Ended),
    Wake(RecordName),
    Spawn {
        record: RecordName,
        /// 0 if it is not known yet.
        id: u64,
        site: Option<&'static Site>,
        labels: LabelSet,
    },
    Dropped {
        record: RecordName,
        id: u64,
        site: Option<&'static Site>,
        labels: LabelSet,
    },
    /// A finished poll of a foreign task.
    ForeignPoll {
        record: RecordName,
        began: Ticks,
    },
    Park,
    Unpark,
    ClosureBegin {
        record: RecordName,
        id: u64,
    },
    Said(Said),
    /// The innermost poll begins (`true`) or ends a `block_in_place`.
    InPlace(bool),
}

/// An event of a thread, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    pub(crate) at: Ticks,
    /// The kernel's id.
    pub(crate) thread: u32,
    pub(crate) what: What,
}

/// The number of further words of an entry.
pub(crate) fn more(kind: u8) -> usize {
    Code::of(kind).map_or(0, Code::more)
}

impl Happened {
    /// Decodes an entry.
    #[expect(unsafe_code, reason = "interned things come back as addresses")]
    pub(crate) fn read(thread: u32, entry: &Entry) -> Option<Happened> {
        let record = RecordName(entry.payload & !INSIDE);
        let [first, second] = entry.more;
        // SAFETY: 0, or the address of an interned site, which lives for ever; only this file writes entries.
        let site =
            || unsafe { (((second & BELOW_LABELS) << POINTER_SHIFT) as *const Site).as_ref() };
        let labels = LabelSet::of_number((second >> LABELS_SHIFT) as u16);
        let waits = || {
            let waits = (entry.payload << POINTER_SHIFT) as *const WaitSet;
            // SAFETY: 0, or the address of an interned set, which lives for ever; only this file writes entries.
            unsafe { waits.as_ref() }
        };
        let what = match Code::of(entry.kind)? {
            code @ (Code::PollBegin | Code::FirstPollBegin) => What::PollBegin {
                record,
                id: (code == Code::FirstPollBegin).then_some(first),
                inside: entry.payload & INSIDE != 0,
            },
            Code::PollWaits => What::PollEnd(Ended::Waits(waits())),
            Code::PollYields => What::PollEnd(Ended::Yields(waits())),
            Code::PollEnds => What::PollEnd(Ended::Finished),
            Code::Wake => What::Wake(record),
            Code::Spawn => What::Spawn {
                record,
                id: first,
                site: site(),
                labels,
            },
            Code::Dropped => What::Dropped {
                record,
                id: first,
                site: site(),
                labels,
            },
            Code::ForeignPoll => What::ForeignPoll {
                record,
                began: first,
            },
            Code::Park => What::Park,
            Code::Unpark => What::Unpark,
            Code::ClosureBegin => What::ClosureBegin { record, id: first },
            Code::InPlace => What::InPlace(entry.payload != 0),
            Code::Said => What::Said(Said::read(entry)?),
        };
        Some(Happened {
            at: entry.at << UNIT_SHIFT,
            thread,
            what,
        })
    }
}

/// How many entries were lost, in all traces.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The time up to which entries made room for later ones.
pub(crate) fn dropped_until() -> Ticks {
    match TRACE.get().map_or(0, Chunks::dropped_until) {
        0 => 0,
        at => (at + 1) << UNIT_SHIFT,
    }
}

/// Whether entries stay in the chunks.
pub(crate) fn keeps_last() -> bool {
    TRACE.get().is_some_and(Chunks::keeps_last)
}

/// The bytes of entries that stay in chunks until others need the room.
pub(crate) fn kept_bytes() -> usize {
    TRACE.get().map_or(0, Chunks::kept_bytes)
}

/// Makes empty chunks, before a trace begins.
pub(crate) fn prepare() -> &'static Chunks {
    let chunks = TRACE.get_or_init(Chunks::new);
    chunks.stock();
    chunks
}
