//! The memory of the records: chunks that are never freed, and free lists.
//!
//! Since the memory is never freed, a dump is a mere read: a reader needs no lock, no epoch and no reference, and keeps
//! no task and no runtime alive. The disadvantage: after a peak of tasks the process keeps the memory of their records
//! (192 B each), for later tasks.
//!
//! A thread takes and returns records in its own magazines. Whole magazines go to and from the shared list, under a
//! lock that is held for a few instructions without any allocation.

use super::task::{Kind, Record, Spawn};
use crate::clock::Ticks;
use crate::primitive::{self, Ordering};
use crate::stack::raw::FutureMeta;
use std::cell::Cell;
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};
use std::sync::Mutex;
use std::sync::atomic::AtomicPtr;

/// The number of records of a chunk: 256 * 192 B = 48 KiB.
const CHUNK: usize = 256;
/// The number of records of a magazine. A thread that only takes, or only returns, needs the lock once in 64 times.
const MAGAZINE: usize = 64;

struct Chunk {
    records: [Record; CHUNK],
    next: AtomicPtr<Chunk>,
}

/// All chunks, newest first.
static CHUNKS: AtomicPtr<Chunk> = AtomicPtr::new(null_mut());
/// Magazines, mostly full, linked by `next_batch`.
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

struct Local {
    current: Cell<Magazine>,
    spare: Cell<Magazine>,
}

thread_local! {
    static LOCAL: Local = const { Local { current: Cell::new(EMPTY), spare: Cell::new(EMPTY) } };
}

impl Drop for Local {
    fn drop(&mut self) {
        give(self.current.replace(EMPTY));
        give(self.spare.replace(EMPTY));
    }
}

/// A counted reference to a task's record.
pub(crate) struct RecordRef(NonNull<Record>);

#[expect(
    unsafe_code,
    reason = "a counted reference to shared memory of atomics"
)]
// SAFETY: any thread may use a record; the poller's methods need a poll.
unsafe impl Send for RecordRef {}
#[expect(
    unsafe_code,
    reason = "a counted reference to shared memory of atomics"
)]
// SAFETY: as for Send.
unsafe impl Sync for RecordRef {}

impl RecordRef {
    /// A new task's record. Inlined into each spawn: of the arguments most are known there.
    #[inline(always)]
    pub(crate) fn new(
        kind: Kind,
        id: u64,
        spawn: Option<Spawn>,
        meta: Option<&'static FutureMeta>,
        now: Ticks,
    ) -> RecordRef {
        let record = take();
        // SAFETY: `take` hands out records that no other code uses, in memory that lives for ever.
        #[expect(unsafe_code, reason = "records live for ever")]
        unsafe { record.as_ref() }.open(kind, id, spawn, meta, now);
        RecordRef(record)
    }

    /// Another reference, while no other thread knows the record.
    #[cfg(feature = "rt")]
    #[inline(always)]
    pub(crate) fn clone_unshared(&self) -> Self {
        self.retain_unshared();
        RecordRef(self.0)
    }

    /// Takes over a reference that a waker holds.
    ///
    /// # Safety
    /// `record` is a live record and the caller owns one of its references.
    #[inline(always)]
    #[expect(unsafe_code, reason = "takes over a reference")]
    pub(crate) unsafe fn from_raw(record: *const Record) -> RecordRef {
        // SAFETY: a live record is not null.
        RecordRef(unsafe { NonNull::new_unchecked(record.cast_mut()) })
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

impl Drop for RecordRef {
    #[inline(always)]
    fn drop(&mut self) {
        if self.release() {
            retire(self.0);
        }
    }
}

/// Retires a record whose last reference is gone, so it belongs to this thread. Shutting it drops the task's own waker,
/// which may run any code, so that comes before the record is on a list.
#[inline(never)]
fn retire(record: NonNull<Record>) {
    // SAFETY: records are never freed.
    #[expect(unsafe_code, reason = "records live for ever")]
    unsafe { record.as_ref() }.shut();
    put(record);
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

#[inline(always)]
fn take() -> NonNull<Record> {
    LOCAL
        .try_with(|local| {
            let mut magazine = local.current.get();
            let mut refilled = false;
            if magazine.len == 0 {
                magazine = local.spare.replace(EMPTY);
                if magazine.len == 0 {
                    magazine = refill();
                    refilled = true;
                }
            }
            let (record, rest) = pop(magazine);
            // `current` may have records by now: the user's allocator may have dropped wakers in `refill`.
            let came = if refilled { local.current.get() } else { EMPTY };
            local.current.set(rest);
            give(came);
            record
        })
        .unwrap_or_else(|_| {
            // The thread is being torn down: take one record of a magazine, and return the rest.
            let (record, rest) = pop(refill());
            give(rest);
            record
        })
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
    let kept = LOCAL.try_with(|local| {
        let current = local.current.get();
        let mut given = EMPTY;
        if current.len < MAGAZINE {
            local.current.set(put_on(current));
        } else {
            given = local.spare.replace(current);
            local.current.set(put_on(EMPTY));
        }
        // Last: waiting for the lock may run the user's allocator (with `interpose`), which may call this function
        // again.
        give(given);
    });
    if kept.is_err() {
        give(put_on(EMPTY));
    }
}

/// Puts a magazine on the shared list, if it is not empty.
#[inline(always)]
fn give(magazine: Magazine) {
    if magazine.len != 0 {
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
    unsafe { &*magazine.head }
        .next_batch
        .store(shared.0, Ordering::Relaxed);
    shared.0 = magazine.head;
}

/// A magazine with at least one record.
#[cold]
#[inline(never)]
#[expect(unsafe_code, reason = "free lists link records by pointer")]
fn refill() -> Magazine {
    let head = {
        let mut shared = primitive::lock(&MAGAZINES);
        let head = shared.0;
        // SAFETY: null or the head of a magazine.
        if let Some(record) = unsafe { head.as_ref() } {
            shared.0 = record.next_batch.load(Ordering::Relaxed);
        }
        head
    };
    if head.is_null() {
        return grow();
    }
    let (mut at, mut len) = (head, 0);
    // SAFETY: a magazine is a list of free records that ends in null, and it is this thread's now.
    while let Some(record) = unsafe { at.as_ref() } {
        len += 1;
        at = record.next.load(Ordering::Relaxed);
    }
    Magazine { head, len }
}

/// Makes a chunk. Its first records are the returned magazine, and the others go to the shared list.
#[expect(unsafe_code, reason = "free lists link records by pointer")]
fn grow() -> Magazine {
    // Built on the heap: 48 KiB may be too much for a thread's stack.
    let mut chunk = Box::<Chunk>::new_uninit();
    // SAFETY: every field is written before `assume_init`.
    let chunk: &'static Chunk = unsafe {
        let raw = chunk.as_mut_ptr();
        for index in 0..CHUNK {
            (&raw mut (*raw).records[index]).write(Record::free());
        }
        (&raw mut (*raw).next).write(AtomicPtr::new(null_mut()));
        Box::leak(chunk.assume_init())
    };
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
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelSet;

    /// One test counts the chunks that the other makes.
    static CHUNKS_COUNT: Mutex<()> = Mutex::new(());

    #[test]
    fn records_are_reused() {
        let _alone = CHUNKS_COUNT.lock();
        assert_eq!(size_of::<Record>(), 192, "three cache lines");
        // Other tests of this process use records as well, so the bound is generous: a leak of one in a hundred would
        // need 10,000 records more.
        let before = capacity();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        let held: Vec<_> = (0..1000)
                            .map(|id| RecordRef::new(Kind::Task, id, None, None, 0))
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
                            let magazine = refill();
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
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for id in 1..200_000u64 {
                    // The same number in two fields, which would differ if a view mixed two owners.
                    let spawn = Spawn {
                        location: std::panic::Location::caller(),
                        pc: id as usize,
                        parent: id,
                        labels: LabelSet::of_number(id as u16),
                    };
                    drop(RecordRef::new(
                        Kind::Foreign,
                        id | 1 << 50,
                        Some(spawn),
                        None,
                        0,
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
                            (view.parent, view.pc as u64)
                        );
                    }
                });
            }
        });
    }
}
