//! The threads that poll and wake tasks: a small number that fits into a record, and the name behind it.

use crate::events::chunks::{Entry, TRACE, Writer};
use crate::primitive::{self, AtomicU32, AtomicU64, Ordering};
use crate::stack::raw::WaitSet;
use crate::sys::thread;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::compiler_fence;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

/// A thread. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ThreadNumber(pub(crate) u32);

/// What is known of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    /// As std knows it; empty for a thread without a name.
    pub(crate) name: Arc<str>,
    /// Kernel thread id.
    pub(crate) tid: u32,
    /// std's, by which tokio names its workers.
    #[cfg_attr(
        not(feature = "rt"),
        expect(dead_code, reason = "there are no workers")
    )]
    pub(crate) std_id: ThreadId,
}

/// What a thread is to the runtime that it works for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Role {
    /// The runtime did not start it: in a `block_on` of it, at most.
    #[default]
    Other,
    /// Of the blocking pool, as far as it is known: a worker is one until it parks for the first time.
    Pool,
    Worker,
}

/// What a thread tells others about itself, in memory that outlives it (slots are reused).
///
/// Aligned, as every poll writes to it: two threads in one cache line take that from each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Slot {
    number: AtomicU32,
    /// The task that a hook said is being polled here and that no wrapper claimed; 0 for none.
    pub(crate) foreign: AtomicU64,
    /// When that poll began.
    pub(crate) foreign_since: AtomicU64,
    /// The last time stamp that this thread took: at the end of a poll, at a wake, after having been parked. What runs
    /// next on the thread begins there; reading the clock once more would cost as much as all the rest of a poll.
    pub(crate) now: AtomicU64,
    /// [`Slot::now`] when a task ended here. While no poll has ended since, tokio may not have taken the task off its list; 0
    /// once the thread has parked.
    pub(crate) ended: AtomicU64,
    /// The number of the runtime that this thread works for: its worker, or in a `block_on` of it. 0 where unknown.
    pub(crate) runtime: AtomicU32,
    /// Its [`Role`] there.
    role: AtomicU32,
    /// The chunk that its entries of an execution trace go to; 0 for none.
    pub(crate) trace_chunk: AtomicU32,
    /// See [`Slot::keep_waits`]: of which poll, and the address of the set.
    kept_for: AtomicU64,
    kept: AtomicU64,
}

impl Slot {
    /// The thread's number.
    #[inline(always)]
    pub(crate) fn number(&self) -> ThreadNumber {
        ThreadNumber(self.number.load(Ordering::Relaxed))
    }

    #[inline(always)]
    pub(crate) fn set_role(&self, role: Role) {
        self.role.store(role as u32, Ordering::Relaxed);
    }

    pub(crate) fn role(&self) -> Role {
        let known = [Role::Other, Role::Pool, Role::Worker];
        let role = self.role.load(Ordering::Relaxed) as usize;
        known.get(role).copied().unwrap_or_default()
    }

    /// Before the first registration of a poll on this thread: what its task had registered in the poll before, which is known
    /// nowhere else from then on. `poll` tells this poll from others.
    #[inline(always)]
    pub(crate) fn keep_waits(&self, poll: u64, waits: Option<&'static WaitSet>) {
        let address = waits.map_or(0, |waits| std::ptr::from_ref(waits).expose_provenance());
        // A signal handler on this thread reads both.
        self.kept_for.store(0, Ordering::Relaxed);
        compiler_fence(Ordering::Release);
        self.kept.store(address as u64, Ordering::Relaxed);
        compiler_fence(Ordering::Release);
        self.kept_for.store(poll, Ordering::Relaxed);
    }

    /// What [`Slot::keep_waits`] kept for that poll. Async-signal-safe.
    #[expect(unsafe_code, reason = "reads a pointer to an interned set")]
    pub(crate) fn kept_waits(&self, poll: u64) -> Option<&'static WaitSet> {
        if self.kept_for.load(Ordering::Relaxed) != poll {
            return None;
        }
        let address = self.kept.load(Ordering::Relaxed) as usize;
        // SAFETY: null or an interned set, which lives for ever.
        unsafe { std::ptr::with_exposed_provenance::<WaitSet>(address).as_ref() }
    }

    /// The thread wakes a task, outside of any poll: maybe the one that waits for the end of another.
    #[inline(always)]
    pub(crate) fn stamp_wake(&self, now: u64) {
        if self.ended.load(Ordering::Relaxed) == self.now.load(Ordering::Relaxed) {
            self.ended.store(now, Ordering::Relaxed);
        }
        self.now.store(now, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Table {
    last: u32,
    alive: HashMap<u32, (Thread, &'static Slot)>,
    unused: Vec<&'static Slot>,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);
/// What a thread gets while it is being put on the list, or after it was taken off.
static UNLISTED: Slot = Slot {
    number: AtomicU32::new(0),
    foreign: AtomicU64::new(0),
    foreign_since: AtomicU64::new(0),
    now: AtomicU64::new(0),
    ended: AtomicU64::new(0),
    runtime: AtomicU32::new(0),
    role: AtomicU32::new(0),
    trace_chunk: AtomicU32::new(0),
    kept_for: AtomicU64::new(0),
    kept: AtomicU64::new(0),
};

/// Takes the thread off the list when it ends.
struct Own(Cell<Option<&'static Slot>>);

impl Drop for Own {
    fn drop(&mut self) {
        SLOT.with(|cell| cell.set(Some(&UNLISTED)));
        let Some(slot) = self.0.get() else { return };
        if let Some(chunks) = TRACE.get() {
            WRITER.with(|writer| chunks.hand_in(writer, &slot.trace_chunk));
        }
        slot.foreign.store(0, Ordering::Relaxed);
        slot.runtime.store(0, Ordering::Relaxed);
        slot.set_role(Role::Other);
        if let Some(table) = lock().as_mut() {
            table.alive.remove(&slot.number().0);
            table.unused.push(slot);
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Table>> {
    primitive::lock(&TABLE)
}

thread_local! {
    /// Without a destructor: one load on the hot path.
    static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static OWN: Own = const { Own(Cell::new(None)) };
    /// Where this thread writes what a trace is told, without a destructor, too.
    static WRITER: Writer<'static> = const { Writer::new() };
}

/// Appends an entry of a trace with so many words beside the first to this thread's chunk. Returns whether there was room.
#[inline(always)]
pub(crate) fn append(slot: &Slot, entry: &Entry, more: usize) -> bool {
    // Not inside of `with`: the closure would be a function of its own.
    let chunk = WRITER.with(Writer::chunk);
    chunk.is_some_and(|chunk| chunk.append(entry, more)) || append_to_next(slot, entry, more)
}

#[cold]
#[inline(never)]
fn append_to_next(slot: &Slot, entry: &Entry, more: usize) -> bool {
    // Of all threads that are not listed there is one slot.
    let chunks = TRACE
        .get()
        .filter(|_| slot.number() != ThreadNumber::default());
    chunks.is_some_and(|chunks| {
        WRITER.with(|writer| {
            chunks.write_to_next(writer, &slot.trace_chunk, thread::id(), entry, more)
        })
    })
}

/// This thread's slot. The first call of a thread puts it on the list.
#[inline(always)]
pub(crate) fn slot() -> &'static Slot {
    match SLOT.with(Cell::get) {
        Some(slot) => slot,
        None => enlist(),
    }
}

/// This thread's slot, if it has one. Async-signal-safe.
pub(crate) fn if_listed() -> Option<&'static Slot> {
    SLOT.with(Cell::get)
}

/// This thread's number.
#[inline(always)]
pub(crate) fn current() -> ThreadNumber {
    slot().number()
}

#[cold]
#[inline(never)]
fn enlist() -> &'static Slot {
    // A thread that is being torn down stays off the list: nothing would take it off again. Code that is called from in
    // here and comes by again (an allocator that wakes tasks) finds that slot, too.
    SLOT.with(|cell| cell.set(Some(&UNLISTED)));
    let Ok(()) = OWN.try_with(|_| ()) else {
        return &UNLISTED;
    };
    let current = std::thread::current();
    let thread = Thread {
        name: current.name().unwrap_or_default().into(),
        tid: thread::id(),
        std_id: current.id(),
    };
    let mut table = lock();
    let table = table.get_or_insert_with(Table::default);
    table.last = table.last.wrapping_add(1).max(1);
    let slot = table
        .unused
        .pop()
        .unwrap_or_else(|| Box::leak(Box::default()));
    slot.number.store(table.last, Ordering::Relaxed);
    slot.now.store(crate::clock::ticks(), Ordering::Relaxed);
    table.alive.insert(table.last, (thread, slot));
    let _ = OWN.try_with(|own| own.0.set(Some(slot)));
    SLOT.with(|cell| cell.set(Some(slot)));
    slot
}

/// How many threads of runtimes may be about to take a task off tokio's list, at the most.
#[cfg(feature = "rt")]
pub(crate) fn finishing() -> u64 {
    // As below.
    slot();
    let table = lock();
    let slots = table.iter().flat_map(|table| table.alive.values());
    let finishing = slots.filter(|(_, slot)| {
        let ended = slot.ended.load(Ordering::Acquire);
        let works = slot.runtime.load(Ordering::Relaxed) != 0;
        works && ended != 0 && ended >= slot.now.load(Ordering::Acquire)
    });
    finishing.count() as u64
}

/// A copy of the list.
pub(crate) fn alive() -> HashMap<u32, (Thread, &'static Slot)> {
    // First: the copy allocates under the lock, and the allocator may wake tasks, which asks for this thread's slot.
    slot();
    lock()
        .as_ref()
        .map(|table| table.alive.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_listed_while_it_lives() {
        let number = std::thread::Builder::new()
            .name("listed".into())
            .spawn(|| {
                let number = current();
                assert_eq!(current(), number);
                assert_eq!(&*alive()[&number.0].0.name, "listed");
                number
            })
            .unwrap()
            .join()
            .unwrap();
        assert!(!alive().contains_key(&number.0));
    }
}
