//! The entries of waiters: one for each future or thread that waits for a lock.
//!
//! Entries are slots of a [`Shelf`], so a reader needs no lock and keeps neither lock nor future alive. A thread keeps the
//! slots that it returns, up to [`MOST_SPARE`], and takes from them first, so that a wait needs no locked instruction.
//!
//! Only the owner of a wait writes its entry: the thread that polls the future, or that drops it. The place of those without an
//! entry is never written.

use super::shelf::{Shelf, Slot};
use super::versions::{open, read, shut};
use crate::clock::Ticks;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::stack::wait_set::WaitSet;
use std::cell::Cell;
use std::ptr::{from_ref, null, null_mut};

/// The most slots that a thread keeps: 4 KiB.
const MOST_SPARE: usize = if cfg!(probe_loom) { 1 } else { 64 };

/// The begin of no wait. No time comes after it.
const NEVER: Ticks = Ticks::MAX;

/// An entry: a cache line, as each has another thread that writes it.
#[repr(align(64))]
pub(crate) struct WaiterSlot {
    version: AtomicU32,
    next: AtomicU32,
    /// Its number on the shelf, once it was taken from there; 0 for [`Waiter::missing`].
    number: AtomicU32,
    /// Of a semaphore: the number of permits that it waits for.
    wanted: AtomicU32,
    /// The lock, as [`LockKey`] has it.
    lock: AtomicU64,
    /// When it began to wait. It also tells the order of a lock's waiters.
    since: AtomicU64,
    /// The begin of its counted time; 0 if it is not counted. Only its owner reads this.
    counted: AtomicU64,
    /// The waiter, packed, with marks.
    who: AtomicU64,
    /// The poll of its task in which the future was polled last; 0 for a thread.
    poll: AtomicU64,
    /// The registrations of that poll up to this one. Of a spare slot: the next one.
    waits: AtomicPtr<WaitSet>,
}

#[cfg(not(probe_loom))]
const _: () = assert!(size_of::<WaiterSlot>() == 64);

impl Slot for WaiterSlot {
    fn new() -> Self {
        WaiterSlot {
            version: AtomicU32::new(0),
            next: AtomicU32::new(0),
            number: AtomicU32::new(0),
            wanted: AtomicU32::new(0),
            lock: AtomicU64::new(0),
            since: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            who: AtomicU64::new(0),
            poll: AtomicU64::new(0),
            waits: AtomicPtr::new(null_mut()),
        }
    }

    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

/// A mark of a packed waiter: it came when the lock was free. A thread that blocks itself becomes a waiter before it knows that,
/// and a future without coop budget takes a free lock and returns `Pending`.
pub(crate) const CAME_TO_FREE: u64 = 1 << 60;

/// A lock's number and version in one word. So a waiter is no waiter of a later lock with that number. Not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockKey(pub(super) u64);

impl LockKey {
    pub(super) fn new(number: u32, version: u32) -> Self {
        LockKey(u64::from(version) << 32 | u64::from(number))
    }

    pub(super) fn number(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn version(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The poll in which a future waited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Polled {
    /// The task, or else the thread, packed, with marks.
    pub(crate) who: u64,
    /// The number of the poll; 0 for a thread.
    pub(crate) poll: u64,
    /// The registrations of the poll up to this one.
    pub(crate) waits: Option<&'static WaitSet>,
}

/// A begin of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    pub(crate) since: Ticks,
    /// The begin of its counted time; 0 if it is not counted.
    pub(crate) counted: Ticks,
    /// The number of permits of a semaphore.
    pub(crate) wanted: u32,
}

impl WaiterSlot {
    /// Begins a wait. The caller has taken the slot.
    #[inline(always)]
    pub(super) fn begin(&self, lock: LockKey, begin: Begin, polled: Polled) {
        open(&self.version, || {
            self.lock.store(lock.0, Ordering::Relaxed);
            self.since.store(begin.since, Ordering::Relaxed);
            self.counted.store(begin.counted, Ordering::Relaxed);
            self.wanted.store(begin.wanted, Ordering::Relaxed);
            self.polled(polled);
        });
    }

    /// The future was polled, and still waits.
    #[inline(always)]
    pub(super) fn polled(&self, polled: Polled) {
        let waits = polled.waits.map_or(null(), from_ref).cast_mut();
        self.who.store(polled.who, Ordering::Relaxed);
        self.waits.store(waits, Ordering::Relaxed);
        self.poll.store(polled.poll, Ordering::Release);
    }

    /// Ends the wait.
    #[inline(always)]
    pub(super) fn end(&self) {
        shut(&self.version);
    }

    /// The begin of the wait. Only its owner.
    #[inline(always)]
    pub(super) fn since(&self) -> Ticks {
        self.since.load(Ordering::Relaxed)
    }

    /// The begin of the counted time. Only its owner.
    #[inline(always)]
    pub(super) fn counted(&self) -> Ticks {
        self.counted.load(Ordering::Relaxed)
    }

    /// The waiter. Only its owner.
    #[inline(always)]
    pub(super) fn who(&self) -> u64 {
        self.who.load(Ordering::Relaxed)
    }

    /// The registrations of the last poll of its future. Only its owner.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    pub(super) fn waits(&self) -> Option<&'static WaitSet> {
        // SAFETY: null, or an interned set, which lives for ever: the slot is in use.
        unsafe { self.waits.load(Ordering::Relaxed).as_ref() }
    }

    /// A copy, if a wait is under way.
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    pub(super) fn copy(&self) -> Option<Copied> {
        let (mut copied, waits) = read(&self.version, |_| {
            let copied = Copied {
                lock: LockKey(self.lock.load(Ordering::Relaxed)),
                since: self.since.load(Ordering::Relaxed),
                who: self.who.load(Ordering::Relaxed),
                wanted: self.wanted.load(Ordering::Relaxed),
                poll: self.poll.load(Ordering::Acquire),
                waits: None,
            };
            (copied, self.waits.load(Ordering::Relaxed))
        })?;
        // SAFETY: the slot was in use meanwhile, so that it is null, or an interned set, which lives for ever.
        copied.waits = unsafe { waits.as_ref() };
        Some(copied)
    }
}

/// A copy of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copied {
    pub(super) lock: LockKey,
    pub(super) since: Ticks,
    pub(super) who: u64,
    pub(super) wanted: u32,
    pub(super) poll: u64,
    pub(super) waits: Option<&'static WaitSet>,
}

/// The slots that a thread keeps.
pub(super) struct Spares {
    head: Cell<*const WaiterSlot>,
    /// [`Spares::CLOSED`] before the first slot, and at the end of the thread.
    len: Cell<usize>,
}

impl Spares {
    /// The length of a list that takes no slot.
    const CLOSED: usize = usize::MAX;

    pub(super) const fn closed() -> Self {
        Spares {
            head: Cell::new(null()),
            len: Cell::new(Spares::CLOSED),
        }
    }

    /// Lets a closed list take slots.
    #[cold]
    pub(super) fn open(&self) {
        if self.len.get() == Spares::CLOSED {
            self.len.set(0);
        }
    }

    /// Returns all slots to the shelf.
    pub(super) fn close(&self, shelf: &'static Shelf<WaiterSlot>) {
        while let Some(slot) = self.pop() {
            give_back(shelf, slot);
        }
        self.len.set(Spares::CLOSED);
    }

    /// Takes a slot: one of the list, or of the shelf; `None` if all are in use.
    #[inline(always)]
    pub(super) fn take(&self, shelf: &'static Shelf<WaiterSlot>) -> Option<&'static WaiterSlot> {
        match self.pop() {
            Some(slot) => Some(slot),
            None => take_new(shelf),
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "slots live for ever")]
    fn pop(&self) -> Option<&'static WaiterSlot> {
        // SAFETY: null, or a slot that `push` had. Slots live for ever.
        let slot = unsafe { self.head.get().as_ref() }?;
        self.head
            .set(slot.waits.load(Ordering::Relaxed).cast_const().cast());
        self.len.set(self.len.get() - 1);
        Some(slot)
    }

    /// Keeps a slot that is not in use any more. `false` if there is no room.
    #[inline(always)]
    pub(super) fn push(&self, slot: &'static WaiterSlot) -> bool {
        let len = self.len.get();
        let has_room = len < MOST_SPARE;
        if has_room {
            let next = self.head.replace(slot).cast_mut().cast();
            slot.waits.store(next, Ordering::Relaxed);
            self.len.set(len + 1);
        }
        has_room
    }
}

#[cold]
#[inline(never)]
fn take_new(shelf: &'static Shelf<WaiterSlot>) -> Option<&'static WaiterSlot> {
    let (number, slot) = shelf.take()?;
    slot.number.store(number.get(), Ordering::Relaxed);
    Some(slot)
}

/// Returns a slot to the shelf.
pub(super) fn give_back(shelf: &'static Shelf<WaiterSlot>, slot: &WaiterSlot) {
    if let Some(number) = std::num::NonZeroU32::new(slot.number.load(Ordering::Relaxed)) {
        shelf.give(number);
    }
}

#[cfg(all(feature = "sync", not(probe_loom)))]
pub(crate) use alive::Waiter;
#[cfg(not(probe_loom))]
pub(super) use alive::{all, missed};

/// The slots and the lists of this process.
#[cfg(not(probe_loom))]
mod alive {
    use super::*;
    use std::sync::OnceLock;

    static WAITERS: Shelf<WaiterSlot> = Shelf::new();
    /// The number of waiters without an entry: all entries were in use.
    static MISSED: AtomicU64 = AtomicU64::new(0);

    thread_local! {
        /// No destructor, so that a wait need not ask whether it is still there.
        static SPARES: Spares = const { Spares::closed() };
        static OWNER: Owner = const { Owner };
    }

    /// Returns a thread's slots at its end.
    struct Owner;

    impl Drop for Owner {
        fn drop(&mut self) {
            SPARES.with(|spares| spares.close(&WAITERS));
        }
    }

    /// A waiter's entry.
    #[derive(Clone, Copy)]
    pub(crate) struct Waiter(&'static WaiterSlot);

    impl Waiter {
        /// Makes an entry. If all are in use, the result is [`Waiter::missing`], and the waiter is counted as missed.
        ///
        /// The poll is asked for here, so that nothing is kept for it.
        #[inline(always)]
        pub(crate) fn new(lock: LockKey, begin: Begin, polled: impl FnOnce() -> Polled) -> Waiter {
            match SPARES.with(|spares| spares.take(&WAITERS)) {
                Some(slot) => {
                    slot.begin(lock, begin, polled());
                    Waiter(slot)
                }
                None => Waiter::missed(),
            }
        }

        #[cold]
        #[inline(never)]
        fn missed() -> Waiter {
            MISSED.fetch_add(1, Ordering::Relaxed);
            Waiter::missing()
        }

        /// In place of an entry, for a waiter that has none. It is in no copy, and may be that of several.
        #[cold]
        pub(crate) fn missing() -> Waiter {
            static MISSING: OnceLock<WaiterSlot> = OnceLock::new();
            Waiter(MISSING.get_or_init(|| {
                let slot = WaiterSlot::new();
                slot.since.store(NEVER, Ordering::Relaxed);
                slot
            }))
        }

        /// The future was polled, and still waits.
        #[inline(always)]
        pub(crate) fn polled(self, polled: Polled) {
            if self.is_entry() {
                self.0.polled(polled);
            }
        }

        #[inline(always)]
        fn is_entry(self) -> bool {
            self.0.number.load(Ordering::Relaxed) != 0
        }

        /// The begin of the wait; [`NEVER`] without an entry.
        #[inline(always)]
        pub(crate) fn since(self) -> Ticks {
            self.0.since()
        }

        /// [`CAME_TO_FREE`], or 0.
        #[inline(always)]
        pub(crate) fn mark(self) -> u64 {
            self.0.who() & CAME_TO_FREE
        }

        /// Whether the lock was free when the wait began.
        #[inline(always)]
        pub(crate) fn came_to_free(self) -> bool {
            self.mark() != 0
        }

        /// How long the wait has lasted, given when the lock changed hands last; `None` if it is no wait, and without an entry. A
        /// waiter that came to a free lock has waited if another was faster.
        pub(crate) fn waited(self, now: Ticks, changed: Ticks) -> Option<Ticks> {
            let since = self.0.since();
            let is_wait = since != NEVER && (!self.came_to_free() || changed > since);
            is_wait.then(|| now.saturating_sub(since))
        }

        /// The begin of the counted time; 0 if it is not counted.
        #[inline(always)]
        pub(crate) fn counted(self) -> Ticks {
            self.0.counted()
        }

        /// The registrations of the last poll of its future.
        #[inline(always)]
        pub(crate) fn waits(self) -> Option<&'static WaitSet> {
            self.0.waits()
        }

        /// Ends the entry. Only its owner, and only once.
        #[inline(always)]
        pub(crate) fn end(self) {
            self.end_before(|| ());
        }

        /// Ends the entry, so that no copy has it any more, and then calls `after`.
        #[inline(always)]
        pub(crate) fn end_before(self, after: impl FnOnce()) {
            let is_entry = self.is_entry();
            if is_entry {
                self.0.end();
            }
            after();
            if is_entry && !SPARES.with(|spares| spares.push(self.0)) {
                keep_or_return(self.0);
            }
        }
    }

    /// The thread has no room for a slot.
    #[cold]
    #[inline(never)]
    fn keep_or_return(slot: &'static WaiterSlot) {
        let is_kept = OWNER.try_with(|_| ()).is_ok()
            && SPARES.with(|spares| {
                spares.open();
                spares.push(slot)
            });
        if !is_kept {
            give_back(&WAITERS, slot);
        }
    }

    /// Copies of all entries, in no particular order.
    pub(in crate::registry) fn all() -> impl Iterator<Item = Copied> {
        WAITERS.slots().filter_map(|(_, slot)| slot.copy())
    }

    /// The number of waiters that had no entry.
    pub(in crate::registry) fn missed() -> u64 {
        MISSED.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A step of one of two threads.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin(usize),
        /// Ends the wait of that index, modulo their number.
        End(usize, usize),
        /// The thread ends, and another takes its place.
        Close(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..2usize).prop_map(Step::Begin),
            5 => (0..2usize, any::<usize>()).prop_map(|(thread, which)| Step::End(thread, which)),
            1 => (0..2usize).prop_map(Step::Close),
        ]
    }

    #[test]
    #[cfg(feature = "sync")]
    fn a_waiter_without_an_entry_has_no_place() {
        let set = WaitSet::unkept().or_else(|| {
            WaitSet::init();
            WaitSet::unkept()
        });
        assert!(set.is_some());
        let waiter = Waiter::missing();
        waiter.polled(Polled {
            who: 1,
            poll: 2,
            waits: set,
        });
        assert!(waiter.waits().is_none(), "it may be that of another task");
        assert_eq!((waiter.counted(), waiter.waited(9, 8)), (0, None));
        waiter.end();
    }

    #[test]
    #[cfg(feature = "sync")]
    fn a_waiter_that_came_to_a_free_lock_has_waited_if_another_was_faster() {
        let begin = Begin {
            since: 5,
            counted: 0,
            wanted: 0,
        };
        for (mark, waited) in [(0, Some(4)), (CAME_TO_FREE, None)] {
            let waiter = Waiter::new(LockKey(1), begin, || Polled {
                who: 1 | mark,
                poll: 2,
                waits: None,
            });
            assert_eq!(waiter.waited(9, 4), waited);
            assert_eq!(waiter.waited(9, 7), Some(4));
            waiter.end();
        }
    }

    proptest! {
        /// Compared with a set of the waits under way: each has a slot of its own, a copy shows them and no others, and there
        /// are no more slots than were in use at once and may be spare.
        #[test]
        fn the_copy_is_the_set_of_waits(steps in proptest::collection::vec(step(), 1..600)) {
            let shelf: &'static Shelf<WaiterSlot> = Box::leak(Box::new(Shelf::new()));
            let threads = [Spares::closed(), Spares::closed()];
            let mut under_way: Vec<(&'static WaiterSlot, u64)> = Vec::new();
            let mut most = 0;
            for (who, step) in (1..).zip(steps) {
                match step {
                    Step::Begin(thread) => {
                        let slot = threads[thread].take(shelf).unwrap();
                        prop_assert!(under_way.iter().all(|(other, _)| !std::ptr::eq(*other, slot)));
                        let polled = Polled { who, poll: who, waits: None };
                        let begin = Begin { since: who, counted: 0, wanted: 0 };
                        slot.begin(LockKey::new(who as u32, 1), begin, polled);
                        under_way.push((slot, who));
                        most = most.max(under_way.len());
                    }
                    Step::End(..) if under_way.is_empty() => {}
                    Step::End(thread, which) => {
                        let (slot, _) = under_way.swap_remove(which % under_way.len());
                        slot.end();
                        threads[thread].open();
                        if !threads[thread].push(slot) {
                            give_back(shelf, slot);
                        }
                    }
                    Step::Close(thread) => threads[thread].close(shelf),
                }
                let copies: Vec<Copied> = shelf.slots().filter_map(|(_, slot)| slot.copy()).collect();
                for copy in &copies {
                    prop_assert_eq!((copy.since, copy.poll), (copy.who, copy.who));
                    prop_assert_eq!(copy.lock, LockKey::new(copy.who as u32, 1));
                }
                let copied: BTreeSet<u64> = copies.iter().map(|copy| copy.who).collect();
                let expected: BTreeSet<u64> = under_way.iter().map(|(_, who)| *who).collect();
                prop_assert_eq!(copied, expected);
            }
            prop_assert!(shelf.slots().count() <= most + 2 * MOST_SPARE);
        }
    }
}
