//! The memory of the records: chunks that are never freed, and free lists.
//!
//! Since the memory is never freed, a dump is a mere read: a reader needs no lock, no epoch and no reference, and keeps
//! no task and no runtime alive. The disadvantage: after a peak of tasks the process keeps the memory of their records
//! (144 B each), for later tasks.
//!
//! A thread takes and returns records in its own magazines. Whole magazines go to and from the shared list, under a
//! lock that is held for a few instructions without any allocation.
//!
//! Words that only a measurement needs are not in a record. A chunk has them beside its records, and they are made when the first
//! measurement needs them.

use super::sites::Site;
use super::task::{Dropped, Kind, Opened, Record, Spawn, View, waker_data};
use crate::clock::Ticks;
use crate::labels::LabelSet;
use crate::primitive::{self, Ordering};
use crate::stack::raw::FutureMeta;
use crate::sys::reserved;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, fence};

/// The size of a chunk, and its alignment: the address of a record tells that of its chunk.
const CHUNK_BYTES: usize = 32 << 10;
/// The number of records of a chunk: 227 on 64-bit machines.
const CHUNK: usize = (CHUNK_BYTES - size_of::<[usize; 2]>()) / size_of::<Record>();
/// The number of records of a magazine. A thread that only takes, or only returns, needs the lock once in 64 times.
const MAGAZINE: usize = 64;

#[repr(C, align(32768))]
struct Chunk {
    records: [Record; CHUNK],
    next: AtomicPtr<Chunk>,
    /// Null before a measurement needs them.
    measured: AtomicPtr<[Measured; CHUNK]>,
}

const _: () = assert!(size_of::<Chunk>() == CHUNK_BYTES && align_of::<Chunk>() == CHUNK_BYTES);

/// The measured words of a record's task, while a measurement is on. Only the poller writes them.
struct Measured {
    /// The version of the record for whose task the others are; 0 for none. MUST be 0 while they are changed for another
    /// task. Otherwise a reader takes one task's words for another's.
    owner: AtomicU32,
    /// The sum of the ready times.
    delay: AtomicU64,
    /// A word for the begin of the next poll.
    noted: AtomicU64,
}

/// All chunks, newest first.
static CHUNKS: AtomicPtr<Chunk> = AtomicPtr::new(null_mut());
/// Magazines, mostly full, linked by [`Record::set_next_magazine`].
static MAGAZINES: Mutex<Link> = Mutex::new(Link(null_mut()));

struct Link(*mut Record);

#[expect(unsafe_code, reason = "a pointer into memory that lives for ever")]
// SAFETY: records are shared memory of atomics, and the pointer only identifies one.
unsafe impl Send for Link {}

/// A linked list of free records.
#[derive(Clone, Copy)]
struct Magazine {
    head: *mut Record,
    len: usize,
}

const EMPTY: Magazine = Magazine {
    head: null_mut(),
    len: 0,
};

/// The magazine of a thread that has none yet, or none any more: nothing is in it, and there is no room.
const NONE: Magazine = Magazine {
    head: null_mut(),
    len: usize::MAX,
};

/// A thread's magazines.
struct Local {
    current: Cell<Magazine>,
    spare: Cell<Magazine>,
    /// The last record whose wrapper ended before other references, on this thread.
    ended: Cell<*mut Record>,
}

/// Returns a thread's magazines at its end.
struct Owner;

thread_local! {
    /// No destructor, so that a spawn and the end of a task need not ask whether it is still there.
    static LOCAL: Local = const { Local {
            current: Cell::new(NONE),
            spare: Cell::new(NONE),
            ended: Cell::new(null_mut()),
        } };
    static OWNER: Owner = const { Owner };
}

impl Drop for Owner {
    fn drop(&mut self) {
        look_behind(LOCAL.with(|local| local.ended.replace(null_mut())));
        let (current, spare) =
            LOCAL.with(|local| (local.current.replace(NONE), local.spare.replace(NONE)));
        give(current);
        give(spare);
    }
}

/// The wrapper's reference to a task's record.
pub(crate) struct RecordOwner(NonNull<Record>);

/// Another counted reference to a task's record: of a waker, of the spawner, or of a reader that wakes.
pub(crate) struct RecordRef(NonNull<Record>);

#[expect(
    unsafe_code,
    reason = "a counted reference to shared memory of atomics"
)]
// SAFETY: any thread may use a record; the poller's methods need a poll.
unsafe impl Send for RecordOwner {}
#[expect(
    unsafe_code,
    reason = "a counted reference to shared memory of atomics"
)]
// SAFETY: as for Send.
unsafe impl Sync for RecordOwner {}
#[expect(
    unsafe_code,
    reason = "a counted reference to shared memory of atomics"
)]
// SAFETY: as for the owner's.
unsafe impl Send for RecordRef {}

impl RecordOwner {
    /// A new task's record; `None` if the system has no memory that fits. Inlined into each spawn: of the arguments most are
    /// known there.
    #[inline(always)]
    pub(crate) fn new(
        kind: Kind,
        id: u64,
        spawn: Option<Spawn>,
        meta: Option<&'static FutureMeta>,
        now: impl FnOnce() -> Ticks,
        labels: impl FnOnce() -> LabelSet,
    ) -> Option<RecordOwner> {
        let opened = Opened {
            site: Site::of(kind, spawn, meta),
            parent: spawn.map_or(0, |spawn| spawn.parent),
        };
        let record = take()?;
        // SAFETY: `take` hands out records that no other code uses, in memory that lives for ever.
        #[expect(unsafe_code, reason = "records live for ever")]
        unsafe { record.as_ref() }.open(kind, id, opened, now(), labels);
        Some(RecordOwner(record))
    }

    /// Another reference, while no other thread knows the record.
    #[cfg(feature = "rt")]
    #[inline(always)]
    pub(crate) fn share(&self) -> RecordRef {
        self.retain_unshared();
        RecordRef(self.0)
    }
}

impl RecordRef {
    /// Takes over a reference that a waker holds.
    ///
    /// # Safety
    /// `record` is a live record and the caller owns one of its references, which is not the owner's.
    #[inline(always)]
    #[expect(unsafe_code, reason = "takes over a reference")]
    pub(crate) unsafe fn from_raw(record: *const Record) -> RecordRef {
        // SAFETY: a live record is not null.
        RecordRef(unsafe { NonNull::new_unchecked(record.cast_mut()) })
    }

    /// Drops it. `is_poller` asks whether this thread is polling the task.
    #[inline(always)]
    pub(crate) fn drop_or_keep(self, is_poller: impl FnOnce() -> bool) {
        let this = ManuallyDrop::new(self);
        dropped(this.0, this.leave_or_keep(is_poller));
    }
}

impl Deref for RecordOwner {
    type Target = Record;

    #[inline(always)]
    #[expect(unsafe_code, reason = "records live for ever")]
    fn deref(&self) -> &Record {
        // SAFETY: records are never freed.
        unsafe { self.0.as_ref() }
    }
}

impl Deref for RecordRef {
    type Target = Record;

    #[inline(always)]
    #[expect(unsafe_code, reason = "records live for ever")]
    fn deref(&self) -> &Record {
        // SAFETY: records are never freed.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for RecordOwner {
    #[inline(always)]
    fn drop(&mut self) {
        match self.end() {
            true => retire_here(self.0),
            false => ended_before_others(self.0),
        }
    }
}

impl Drop for RecordRef {
    #[inline(always)]
    fn drop(&mut self) {
        dropped(self.0, self.leave());
    }
}

/// Does what is left to do after the drop of a reference.
#[inline(always)]
fn dropped(record: NonNull<Record>, dropped: Dropped) {
    match dropped {
        Dropped::Done => {}
        Dropped::Last => retire(record),
        Dropped::MaybeLate => retire_behind(record),
    }
}

/// A wrapper has ended before other references. One of these may be left behind just now, so the thread looks again when
/// the next one ends.
#[cold]
#[inline(never)]
fn ended_before_others(record: NonNull<Record>) {
    let former = LOCAL.with(|local| local.ended.replace(record.as_ptr()));
    look_behind(former);
}

/// Drops the reference that is left behind in a record, if it is not null.
#[expect(unsafe_code, reason = "records live for ever")]
fn look_behind(record: *mut Record) {
    // SAFETY: null, or a record. Records are never freed.
    if let Some(record) = unsafe { record.as_ref() }
        && record.may_be_behind()
    {
        retire_behind(NonNull::from(record));
    }
}

/// Held by the thread that takes references which ended tasks have left behind.
static BEHIND: Mutex<()> = Mutex::new(());

/// Drops the reference that a waker of an ended task left behind, if there is one.
#[cold]
#[inline(never)]
#[expect(unsafe_code, reason = "records live for ever")]
fn retire_behind(at: NonNull<Record>) {
    // SAFETY: records are never freed.
    let record = unsafe { at.as_ref() };
    // No thread waits here: what is left behind now is found later.
    let is_taken = match BEHIND.try_lock() {
        Ok(_one) => record.take_behind(),
        Err(_) => false,
    };
    if is_taken && record.release() {
        retire(at);
    }
}

/// Retires a record whose last reference is gone, so it belongs to this thread. Shutting it drops the task's own waker,
/// which may run any code, so that comes before the record is on a list.
#[inline(always)]
fn retire_here(record: NonNull<Record>) {
    // SAFETY: records are never freed.
    #[expect(unsafe_code, reason = "records live for ever")]
    unsafe { record.as_ref() }.shut();
    put(record);
}

/// The same out of the code of those that seldom do so.
#[inline(never)]
fn retire(record: NonNull<Record>) {
    retire_here(record);
}

/// Visits every record, free ones included, in no particular order.
#[expect(unsafe_code, reason = "chunks live for ever")]
pub(crate) fn for_each(mut visit: impl FnMut(&'static Record)) {
    let mut at = CHUNKS.load(Ordering::Acquire);
    // SAFETY: null, or a chunk that was published with Release and is never freed.
    while let Some(chunk) = unsafe { at.as_ref() } {
        chunk.records.iter().for_each(&mut visit);
        at = chunk.next.load(Ordering::Relaxed);
    }
}

/// The number of records, free or not.
#[expect(unsafe_code, reason = "chunks live for ever")]
pub(crate) fn capacity() -> usize {
    let (mut at, mut chunks) = (CHUNKS.load(Ordering::Acquire), 0);
    // SAFETY: as in `for_each`.
    while let Some(chunk) = unsafe { at.as_ref() } {
        chunks += 1;
        at = chunk.next.load(Ordering::Relaxed);
    }
    chunks * CHUNK
}

/// The chunk of a record that had an owner, and the record's index there: only this file gives records owners, and all of
/// them are in chunks.
#[expect(unsafe_code, reason = "chunks live for ever")]
fn chunk_of(record: *const Record) -> (&'static Chunk, usize) {
    let chunk = record.map_addr(|address| address & !(CHUNK_BYTES - 1));
    let index = (record.addr() - chunk.addr()) / size_of::<Record>();
    let chunk = std::ptr::with_exposed_provenance::<Chunk>(chunk.addr());
    // SAFETY: chunks are aligned to their size, and the first records of them. The record is in one, and chunks live for
    // ever.
    (unsafe { &*chunk }, index)
}

impl Chunk {
    #[expect(unsafe_code, reason = "words that live for ever")]
    fn measured(&self) -> Option<&'static [Measured; CHUNK]> {
        // Acquire: pairs with the Release below. SAFETY: null, or published below and never freed.
        unsafe { self.measured.load(Ordering::Acquire).as_ref() }
    }

    #[expect(
        unsafe_code,
        reason = "gives words back that another thread made first"
    )]
    fn measured_or_make(&self) -> Option<&'static [Measured; CHUNK]> {
        if self.measured().is_none() {
            let new = Box::into_raw(Box::new(
                [const {
                    Measured {
                        owner: AtomicU32::new(0),
                        delay: AtomicU64::new(0),
                        noted: AtomicU64::new(0),
                    }
                }; CHUNK],
            ));
            let made = self.measured.compare_exchange(
                null_mut(),
                new,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if made.is_err() {
                // SAFETY: it came from the box above, and no other code has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
        self.measured()
    }
}

/// Adds the ready time before the poll that is about to begin. Only the poller.
pub(crate) fn add_delay(record: &Record, delay: Ticks) {
    if let Some(measured) = measured_now(record) {
        let sum = measured.delay.load(Ordering::Relaxed) + delay;
        measured.delay.store(sum, Ordering::Relaxed);
    }
}

/// Keeps a word for the begin of the next poll. Only the poller, between two polls.
pub(crate) fn set_noted(record: &Record, noted: u64) {
    if let Some(measured) = measured_now(record) {
        measured.noted.store(noted, Ordering::Relaxed);
    }
}

/// The word of [`set_noted`]; 0 if it was not set.
pub(crate) fn noted(record: &Record) -> u64 {
    let owner = record.owner_version();
    let (chunk, index) = chunk_of(record);
    let words = chunk.measured().and_then(|measured| measured.get(index));
    let words = words.filter(|words| Some(words.owner.load(Ordering::Relaxed)) == owner);
    words.map_or(0, |words| words.noted.load(Ordering::Relaxed))
}

/// The measured words of the record's task. Only the poller.
fn measured_now(record: &Record) -> Option<&'static Measured> {
    let owner = record.owner_version()?;
    let (chunk, index) = chunk_of(record);
    let measured = chunk.measured_or_make()?.get(index)?;
    if measured.owner.load(Ordering::Relaxed) != owner {
        measured.owner.store(0, Ordering::Relaxed);
        // A reader that sees a word of this task does not see the former owner.
        fence(Ordering::Release);
        measured.delay.store(0, Ordering::Relaxed);
        measured.noted.store(0, Ordering::Relaxed);
        // Release: a reader that sees this owner sees its words.
        measured.owner.store(owner, Ordering::Release);
    }
    Some(measured)
}

/// The measured words of a task: (sum of its ready times, the word of [`set_noted`]); zeros if nothing was.
pub(crate) fn measured(view: &View) -> (Ticks, u64) {
    let (chunk, index) = chunk_of(view.address as *const Record);
    let words = chunk.measured().and_then(|measured| measured.get(index));
    words.map_or((0, 0), |words| {
        // Acquire: pairs with the Release in `measured_now`.
        let owner = words.owner.load(Ordering::Acquire);
        let read = (
            words.delay.load(Ordering::Relaxed),
            words.noted.load(Ordering::Relaxed),
        );
        // Pairs with the fence there.
        fence(Ordering::Acquire);
        let is_the_task = owner == view.version && words.owner.load(Ordering::Relaxed) == owner;
        if is_the_task { read } else { (0, 0) }
    })
}

/// A free record; `None` if the system has no memory that fits.
#[inline(always)]
fn take() -> Option<NonNull<Record>> {
    let taken = LOCAL.with(|local| {
        let magazine = local.current.get();
        (!magazine.head.is_null()).then(|| {
            let (record, rest) = pop(magazine);
            local.current.set(rest);
            record
        })
    });
    match taken {
        Some(record) => Some(record),
        None => take_closely(),
    }
}

/// The same if the thread's first magazine is empty.
#[cold]
#[inline(never)]
fn take_closely() -> Option<NonNull<Record>> {
    let is_alive = OWNER.try_with(|_| ()).is_ok();
    let spare = match is_alive {
        true => LOCAL.with(|local| local.spare.replace(EMPTY)),
        false => EMPTY,
    };
    let magazine = match spare.head.is_null() {
        true => refill()?,
        false => spare,
    };
    let (record, rest) = pop(magazine);
    if is_alive {
        // It may have records by now: the user's allocator may have dropped wakers in `refill`.
        give(LOCAL.with(|local| local.current.replace(rest)));
    } else {
        // The thread is being torn down: take one record of a magazine, and return the rest.
        give(rest);
    }
    Some(record)
}

#[inline(always)]
#[expect(unsafe_code, reason = "free lists link records by pointer")]
fn pop(magazine: Magazine) -> (NonNull<Record>, Magazine) {
    // SAFETY: a magazine with `len > 0` has a head, and callers pass no other; records live for ever, and those on a
    // free list belong to its holder.
    unsafe {
        let record = NonNull::new_unchecked(magazine.head);
        let next = record.as_ref().next.load(Ordering::Relaxed);
        (
            record,
            Magazine {
                head: next,
                len: magazine.len - 1,
            },
        )
    }
}

#[inline(always)]
fn put(record: NonNull<Record>) {
    let put_on = |magazine: Magazine| {
        #[expect(unsafe_code, reason = "records live for ever")]
        // SAFETY: records are never freed, and this one has no user.
        unsafe { record.as_ref() }
            .next
            .store(magazine.head, Ordering::Relaxed);
        Magazine {
            head: record.as_ptr(),
            len: magazine.len + 1,
        }
    };
    let is_kept = LOCAL.with(|local| {
        let current = local.current.get();
        let has_room = current.len < MAGAZINE;
        if has_room {
            local.current.set(put_on(current));
        }
        has_room
    });
    if !is_kept {
        put_closely(put_on(EMPTY));
    }
}

/// Keeps a magazine of one record, if the thread's first magazine has no room.
#[cold]
#[inline(never)]
fn put_closely(one: Magazine) {
    let is_alive = OWNER.try_with(|_| ()).is_ok();
    let given = match is_alive {
        true => LOCAL.with(|local| local.spare.replace(local.current.replace(one))),
        false => one,
    };
    // Last: waiting for the lock may run the user's allocator (with `interpose`), which may call `put` again.
    give(given);
}

/// Puts a magazine on the shared list, if it is not empty.
#[inline(always)]
fn give(magazine: Magazine) {
    if !magazine.head.is_null() {
        hand_in(magazine);
    }
}

/// Puts a magazine on the shared list. Its length is not stored: the thread that takes it counts again.
#[cold]
#[inline(never)]
#[expect(unsafe_code, reason = "free lists link records by pointer")]
fn hand_in(magazine: Magazine) {
    let mut shared = primitive::lock(&MAGAZINES);
    // SAFETY: the head of a magazine with `len > 0`; records live for ever.
    unsafe { &*magazine.head }.set_next_magazine(shared.0);
    shared.0 = magazine.head;
}

/// A magazine with at least one record; `None` if the system has no memory that fits.
#[cold]
#[inline(never)]
fn refill() -> Option<Magazine> {
    let shared = take_shared();
    if shared.is_some() {
        return shared;
    }
    // Records that were left behind come before new ones. Otherwise there could be ever more of them.
    if revisit() < MAGAZINE
        && let Some(made) = grow()
    {
        return Some(made);
    }
    // Another thread may have taken what was found.
    take_own().or_else(take_shared).or_else(grow)
}

/// This thread's first magazine, if it has records.
fn take_own() -> Option<Magazine> {
    LOCAL.with(|local| {
        let has_any = !local.current.get().head.is_null();
        has_any.then(|| local.current.replace(EMPTY))
    })
}

/// A magazine of the shared list, if there is one.
#[expect(unsafe_code, reason = "free lists link records by pointer")]
fn take_shared() -> Option<Magazine> {
    let head = {
        let mut shared = primitive::lock(&MAGAZINES);
        let head = shared.0;
        // SAFETY: null or the head of a magazine.
        shared.0 = unsafe { head.as_ref() }?.next_magazine();
        head
    };
    let (mut at, mut len) = (head, 0);
    // SAFETY: a magazine is a list of free records that ends in null, and it is this thread's now.
    while let Some(record) = unsafe { at.as_ref() } {
        len += 1;
        at = record.next.load(Ordering::Relaxed);
    }
    Some(Magazine { head, len })
}

/// Memory for chunks that the system has given: the next chunk, and how many are left.
struct Region {
    next: *mut Chunk,
    left: usize,
    /// The last memory did not fit. No more is asked for, as it would not be used.
    is_refused: bool,
}

#[expect(unsafe_code, reason = "a pointer into memory that lives for ever")]
// SAFETY: only the thread that takes the pointer from here uses it.
unsafe impl Send for Region {}

static REGION: Mutex<Region> = Mutex::new(Region {
    next: null_mut(),
    left: 0,
    is_refused: false,
});

/// Chunks of a region: 1 MiB, of which pages are used when they are written.
const REGION_CHUNKS: usize = 32;

/// Memory for a chunk, where records may lie. Of the system itself: an allocator would have to align it, and may use addresses
/// that the system gives only if it is asked for them. On the heap where the system's is not known.
#[expect(unsafe_code, reason = "memory as it is given")]
fn memory() -> Option<NonNull<Chunk>> {
    let mut region = primitive::lock(&REGION);
    if region.is_refused {
        return None;
    }
    if region.left == 0 {
        // One more, as the first one begins at a multiple of its size.
        let words = reserved::words((REGION_CHUNKS + 1) * CHUNK_BYTES / size_of::<u64>());
        if let Some(words) = words {
            let start = words.as_ptr().addr().next_multiple_of(CHUNK_BYTES);
            let skipped = (start - words.as_ptr().addr()) / size_of::<u64>();
            // SAFETY: less than a chunk is skipped. The words are atomics that no other code knows.
            let first = unsafe { words.as_ptr().cast_mut().add(skipped) };
            *region = Region {
                next: first.cast(),
                left: REGION_CHUNKS,
                is_refused: false,
            };
        }
    }
    let chunk = match region.left {
        0 => {
            drop(region);
            NonNull::from(Box::leak(Box::<Chunk>::new_uninit())).cast()
        }
        _ => {
            let chunk = NonNull::new(region.next)?;
            region.left -= 1;
            // SAFETY: so many chunks are left in the region, or it ends there.
            region.next = unsafe { region.next.add(1) };
            drop(region);
            chunk
        }
    };
    let fits = waker_data::fits(chunk.addr().get(), CHUNK_BYTES);
    if !fits {
        primitive::lock(&REGION).is_refused = true;
    }
    fits.then_some(chunk)
}

/// Drops the references that are left behind in the next two chunks. Returns how many there were.
#[expect(unsafe_code, reason = "chunks live for ever")]
fn revisit() -> usize {
    static NEXT: AtomicPtr<Chunk> = AtomicPtr::new(null_mut());
    let mut found = 0;
    for _ in 0..2 {
        let next = match NEXT.load(Ordering::Acquire) {
            at if at.is_null() => CHUNKS.load(Ordering::Acquire),
            at => at,
        };
        // SAFETY: null, or a chunk that was published with Release and is never freed.
        let Some(chunk) = (unsafe { next.as_ref() }) else {
            break;
        };
        // Two threads may visit the same one.
        NEXT.store(chunk.next.load(Ordering::Relaxed), Ordering::Release);
        for record in chunk.records.iter().filter(|record| record.may_be_behind()) {
            found += 1;
            retire_behind(NonNull::from(record));
        }
    }
    found
}

/// Makes a chunk. Its first records are the returned magazine, and the others go to the shared list.
#[expect(unsafe_code, reason = "free lists link records by pointer")]
fn grow() -> Option<Magazine> {
    let raw = memory()?.as_ptr();
    // SAFETY: memory of a chunk that no other code knows. Every field is written before it is referred to.
    let chunk: &'static Chunk = unsafe {
        for index in 0..CHUNK {
            (&raw mut (*raw).records[index]).write(Record::free());
        }
        (&raw mut (*raw).next).write(AtomicPtr::new(null_mut()));
        (&raw mut (*raw).measured).write(AtomicPtr::new(null_mut()));
        &*raw
    };
    raw.expose_provenance();
    let mut magazines = chunk.records.chunks(MAGAZINE).map(|records| {
        for pair in records.windows(2) {
            pair[0]
                .next
                .store(std::ptr::from_ref(&pair[1]).cast_mut(), Ordering::Relaxed);
        }
        if let Some(last) = records.last() {
            last.next.store(null_mut(), Ordering::Relaxed);
        }
        Magazine {
            head: records.as_ptr().cast_mut(),
            len: records.len(),
        }
    });
    let first = magazines.next().unwrap_or(EMPTY);
    let mut newest = CHUNKS.load(Ordering::Relaxed);
    loop {
        chunk.next.store(newest, Ordering::Relaxed);
        let own = std::ptr::from_ref(chunk).cast_mut();
        // Release: a reader that finds the chunk finds its records.
        match CHUNKS.compare_exchange_weak(newest, own, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(other) => newest = other,
        }
    }
    // MUST come after the chunk is published. Otherwise another thread could make a task in it that no reader finds.
    magazines.for_each(give);
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test counts the chunks that the other makes.
    static CHUNKS_COUNT: Mutex<()> = Mutex::new(());

    #[test]
    fn records_are_reused() {
        let _alone = CHUNKS_COUNT.lock();
        assert_eq!(size_of::<Record>(), 144);
        // Other tests of this process use records as well, so the bound is generous: a leak of one in a hundred would
        // need 10,000 records more.
        let before = capacity();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        let held: Vec<_> = (0..1000)
                            .map(|id| {
                                RecordOwner::new(
                                    Kind::Task,
                                    id,
                                    None,
                                    None,
                                    || 0,
                                    || LabelSet::NONE,
                                )
                                .unwrap()
                            })
                            .collect();
                        drop(held);
                    }
                });
            }
        });
        assert!(
            capacity() - before <= 4 * 1000 + 4 * 4 * CHUNK,
            "{} more",
            capacity() - before
        );
    }

    /// A task whose last waker leaves its reference when the task has ended.
    #[expect(unsafe_code, reason = "takes over a reference")]
    fn left_behind() -> ManuallyDrop<RecordRef> {
        let own = RecordOwner::new(Kind::Task, 7, None, None, || 0, || LabelSet::NONE).unwrap();
        own.retain();
        let record = std::ptr::from_ref::<Record>(&own);
        // SAFETY: retained just now.
        let waker = ManuallyDrop::new(unsafe { RecordRef::from_raw(record) });
        drop(own);
        waker.leave_too_late();
        waker
    }

    #[test]
    fn a_record_that_was_left_behind_is_free_when_the_next_task_ends_so() {
        let _alone = CHUNKS_COUNT.lock();
        let first = left_behind();
        assert!(first.owner_version().is_some());
        let second = left_behind();
        assert!(first.owner_version().is_none());
        look_behind(LOCAL.with(|local| local.ended.replace(null_mut())));
        assert!(second.owner_version().is_none());
    }

    #[test]
    fn records_that_are_left_behind_are_used_again() {
        let _alone = CHUNKS_COUNT.lock();
        let before = capacity();
        for _ in 0..100_000 {
            left_behind();
            // No other task of this thread ends so.
            LOCAL.with(|local| local.ended.replace(null_mut()));
        }
        // As many as one in fifty, since other tests of this process use records as well.
        assert!(
            capacity() - before < 2_000 + 10 * CHUNK,
            "{} more",
            capacity() - before
        );
    }

    #[test]
    #[expect(unsafe_code, reason = "chunks live for ever")]
    fn what_is_taken_is_found() {
        let _alone = CHUNKS_COUNT.lock();
        // Newest first, so the walk is short.
        let is_found = |record: *const Record| {
            let mut at = CHUNKS.load(Ordering::Acquire);
            // SAFETY: as in `for_each`.
            while let Some(chunk) = unsafe { at.as_ref() } {
                if chunk.records.as_ptr_range().contains(&record) {
                    return true;
                }
                at = chunk.next.load(Ordering::Relaxed);
            }
            false
        };
        // One in four threads makes a chunk, and the others take its magazines.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let taken: Vec<Magazine> = (0..300)
                        .map(|_| {
                            let magazine = refill().unwrap();
                            assert!(is_found(magazine.head), "in a chunk that is not there yet");
                            magazine
                        })
                        .collect();
                    taken.into_iter().for_each(give);
                });
            }
        });
    }

    #[test]
    fn a_view_is_of_one_task() {
        const SITES: usize = 1000;
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for id in 1..200_000u64 {
                    // The same number in three fields, which would differ if a view mixed two owners. There is no room for
                    // as many sites.
                    let spawn = Spawn {
                        location: std::panic::Location::caller(),
                        pc: id as usize % SITES,
                        parent: id,
                    };
                    drop(RecordOwner::new(
                        Kind::Foreign,
                        id | 1 << 50,
                        Some(spawn),
                        None,
                        || 0,
                        || LabelSet::of_number(id as u16),
                    ));
                }
                stop.store(true, Ordering::Relaxed);
            });
            while !stop.load(Ordering::Relaxed) {
                for_each(|record| {
                    if let Some(view) = record.view()
                        && view.id & 1 << 50 != 0
                    {
                        assert_eq!(
                            (view.id & !(1 << 50), view.id & !(1 << 50)),
                            (view.parent, view.parent),
                        );
                        assert_eq!(
                            (view.pc as u64, u64::from(view.labels.number())),
                            (view.parent % SITES as u64, view.parent & 0xffff)
                        );
                    }
                });
            }
        });
    }
}
