//! The threads that poll and wake tasks: each has a small number, which fits into a record, and a name.

use super::polls::Here;
use crate::events::chunks::{Entry, TRACE};
use crate::primitive::{self, AtomicU32, AtomicU64, Ordering};
use crate::stack::wait_set::WaitSet;
use crate::sys::thread;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::compiler_fence;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

/// The number of a thread. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ThreadNumber(pub(crate) u32);

/// The properties of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    /// std's name of it; empty for a thread without a name.
    pub(crate) name: Arc<str>,
    /// Kernel thread id.
    pub(crate) tid: u32,
    /// std's id, by which tokio identifies its workers.
    #[cfg_attr(
        not(feature = "rt"),
        expect(dead_code, reason = "there are no workers")
    )]
    pub(crate) std_id: ThreadId,
}

/// The role of a thread in the runtime that it works for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Role {
    /// Not started by the runtime; it may be in a `block_on`.
    #[default]
    Other,
    /// A thread of the blocking pool, or a worker that has not parked yet.
    Pool,
    Worker,
}

/// The state of a thread that other threads read, in memory that outlives the thread (slots are reused).
///
/// Aligned, so that no two threads write to one cache line: every poll writes to it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Slot {
    number: AtomicU32,
    /// Why polls on this thread, apart from `foreign`, and wakes have more to do than usual: [`Reasons`], [`UNKNOWN`] and
    /// [`IN_A_CLOSURE`].
    reasons: AtomicU64,
    /// The task of the last poll that a hook reported and no wrapper claimed; 0 for none.
    pub(crate) foreign: AtomicU64,
    /// When that poll began.
    pub(crate) foreign_since: AtomicU64,
    /// The last timestamp of this thread: at the end of a poll, at a wake, or after it was parked. The next poll begins
    /// there: another read of the clock would cost as much as the rest of a poll.
    pub(crate) now: AtomicU64,
    /// [`Slot::now`] at the last end of a task on this thread. Until the next poll ends, the task may still be in
    /// tokio's list. 0 once the thread has parked.
    pub(crate) ended: AtomicU64,
    /// The number of the runtime that this thread works for, as a worker or in a `block_on`; 0 if unknown.
    pub(crate) runtime: AtomicU32,
    /// The [`Role`] there.
    role: AtomicU32,
    /// The chunk for its entries of an execution trace; 0 for none.
    pub(crate) trace_chunk: AtomicU32,
    /// See [`Slot::keep_waits`]: of which poll, and the address of the set.
    kept_for: AtomicU64,
    kept: AtomicU64,
}

/// Bits of [`Slot::reasons`]: something is switched on that concerns polls. Each thread has a copy, because a poll reads its
/// thread's slot anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reasons(u64);

impl Reasons {
    /// Anything but the trace.
    pub(crate) const DEMANDED: Reasons = Reasons(1);
    /// The trace.
    pub(crate) const TRACED: Reasons = Reasons(8);
    const ALL: u64 = Reasons::DEMANDED.0 | Reasons::TRACED.0;

    /// These and others.
    pub(crate) fn and(self, others: Reasons) -> Reasons {
        Reasons(self.0 | others.0)
    }
}

/// The same: the thread has no slot yet.
const UNKNOWN: u64 = 2;

/// The same: the thread runs a closure of the blocking pool, which may run for an hour. So the thread's last stamp is no
/// substitute for the time.
#[cfg(feature = "rt")]
const IN_A_CLOSURE: u64 = 4;

impl Slot {
    const fn new(reasons: u64) -> Self {
        Slot {
            number: AtomicU32::new(0),
            reasons: AtomicU64::new(reasons),
            foreign: AtomicU64::new(0),
            foreign_since: AtomicU64::new(0),
            now: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            runtime: AtomicU32::new(0),
            role: AtomicU32::new(0),
            trace_chunk: AtomicU32::new(0),
            kept_for: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Whether a poll of a task of ours has nothing else to do. Only of this thread's own slot.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        // SAFETY: it is this thread's slot, and no other thread writes the word. In the slot that unlisted threads share, no thread
        // does.
        #[expect(unsafe_code, reason = "reads a word that no other thread writes")]
        let foreign = unsafe { primitive::read_own(&self.foreign) };
        self.reasons.load(Ordering::Relaxed) | foreign == 0
    }

    /// Whether the trace is the only reason why a poll on this thread is no plain one.
    #[inline(always)]
    pub(crate) fn is_only_traced(&self) -> bool {
        let foreign = self.foreign.load(Ordering::Relaxed);
        foreign == 0 && self.is_wake_only_traced()
    }

    /// The same for a wake.
    #[inline(always)]
    pub(crate) fn is_wake_only_traced(&self) -> bool {
        self.reasons.load(Ordering::Relaxed) == Reasons::TRACED.0
    }

    /// Whether a wake on this thread has more to do than usual.
    #[inline(always)]
    pub(crate) fn has_reasons(&self) -> bool {
        self.reasons.load(Ordering::Relaxed) != 0
    }

    /// The thread runs a closure of the blocking pool for as long as the result lives.
    #[cfg(feature = "rt")]
    pub(crate) fn runs_a_closure(&'static self) -> impl Drop {
        struct Running(&'static Slot, u64);
        impl Drop for Running {
            fn drop(&mut self) {
                let Running(slot, before) = self;
                slot.reasons
                    .fetch_and(!IN_A_CLOSURE | *before, Ordering::Relaxed);
            }
        }
        let before = self.reasons.fetch_or(IN_A_CLOSURE, Ordering::Relaxed);
        Running(self, before & IN_A_CLOSURE)
    }

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

    /// Stamps a wake outside of any poll. It may be the wake of the task that waits for the end of another one.
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
    /// The reasons of all threads in the list.
    reasons: Reasons,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);
/// The slot of threads that are being listed, or are unlisted again. It is no plain one, because nothing tells it of demands.
static UNLISTED: Slot = Slot::new(Reasons::DEMANDED.0);
/// The slot of threads that were never listed.
pub(super) static NEVER_LISTED: Slot = Slot::new(UNKNOWN);

/// Unlists the thread when it ends.
struct Own(Cell<Option<&'static Slot>>);

impl Drop for Own {
    fn drop(&mut self) {
        Here::get().slot.set(&UNLISTED);
        let Some(slot) = self.0.get() else { return };
        if let Some(chunks) = TRACE.get() {
            chunks.end(&Here::get().writer, &slot.trace_chunk);
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
    static OWN: Own = const { Own(Cell::new(None)) };
}

/// Appends a trace entry with `more` further words to this thread's chunk. Returns whether there was room.
#[inline(always)]
pub(crate) fn append(slot: &Slot, entry: &Entry, more: usize) -> bool {
    let chunk = Here::get().writer.chunk();
    chunk.is_some_and(|chunk| chunk.append(entry, more)) || append_to_next(slot, entry, more)
}

/// Appends an entry of one word to this thread's chunk. Returns whether there was room; otherwise [`append_to_next`]
/// has to do it.
#[inline(always)]
pub(crate) fn append_word(here: &Here, at: u64, first: u64) -> bool {
    let chunk = here.writer.chunk();
    chunk.is_some_and(|chunk| chunk.append_word(at, first))
}

/// Appends an entry to a new chunk. Returns whether there was one.
#[cold]
#[inline(never)]
pub(crate) fn append_to_next(slot: &Slot, entry: &Entry, more: usize) -> bool {
    // All unlisted threads share one slot, so they write no entries.
    let chunks = TRACE
        .get()
        .filter(|_| slot.number() != ThreadNumber::default());
    let writer = &Here::get().writer;
    chunks.is_some_and(|chunks| {
        chunks.write_to_next(writer, &slot.trace_chunk, thread::id, entry, more)
    })
}

/// This thread's slot. The first call of a thread lists it.
#[inline(always)]
pub(crate) fn slot() -> &'static Slot {
    let slot = Here::get().slot();
    match std::ptr::eq(slot, &NEVER_LISTED) {
        false => slot,
        true => enlist(),
    }
}

/// This thread's slot, if it has one. Async-signal-safe.
pub(crate) fn if_listed() -> Option<&'static Slot> {
    let slot = Here::get().slot();
    (!std::ptr::eq(slot, &NEVER_LISTED)).then_some(slot)
}

/// Tells all threads what is switched on that concerns polls.
pub(crate) fn set_reasons(reasons: Reasons) {
    // Lists this thread first, as in `alive`.
    slot();
    let mut table = lock();
    let table = table.get_or_insert_with(Table::default);
    table.reasons = reasons;
    for (_, slot) in table.alive.values() {
        // Never without a reason in between, if there are some before and after.
        slot.reasons.fetch_or(reasons.0, Ordering::Relaxed);
        let others = !Reasons::ALL;
        slot.reasons
            .fetch_and(others | reasons.0, Ordering::Relaxed);
    }
}

/// This thread's number.
#[inline(always)]
pub(crate) fn current() -> ThreadNumber {
    slot().number()
}

#[cold]
#[inline(never)]
fn enlist() -> &'static Slot {
    // A thread that is being torn down is not listed, because nothing would unlist it. Code that is called from here
    // and calls `slot` (an allocator that wakes tasks) finds that slot, too.
    Here::get().slot.set(&UNLISTED);
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
        .unwrap_or_else(|| Box::leak(Box::new(Slot::new(0))));
    slot.number.store(table.last, Ordering::Relaxed);
    slot.reasons.store(table.reasons.0, Ordering::Relaxed);
    slot.now.store(crate::clock::ticks(), Ordering::Relaxed);
    table.alive.insert(table.last, (thread, slot));
    let _ = OWN.try_with(|own| own.0.set(Some(slot)));
    Here::get().slot.set(slot);
    slot
}

/// The most threads of runtimes that may be about to remove a task from tokio's list.
#[cfg(feature = "rt")]
pub(crate) fn finishing() -> u64 {
    // Lists this thread first, as in `alive`.
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

/// A copy of the list of threads.
pub(crate) fn alive() -> HashMap<u32, (Thread, &'static Slot)> {
    // Lists this thread first: the copy allocates under the lock, and an allocator may wake tasks, which needs this
    // thread's slot.
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
