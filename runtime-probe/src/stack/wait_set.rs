//! The set of stacks of one poll.

use super::anchor::Anchor;
use super::intern::{CacheLine, Intern, mix};
use super::path::{Path, Slots};
use super::raw::{self, End, HasMeta, RawStack};
use crate::primitive::{AtomicPtr, AtomicUsize, Ordering};
use std::cell::UnsafeCell;
use std::sync::OnceLock;

/// The most distinct sets: 128 B each with its node, so 32 MB.
const MOST_SETS: usize = 1 << 18;
/// The most registrations of one poll. A further one replaces its predecessor, and sets a mark.
pub(crate) const MOST_WAITS: u16 = 32;

/// Where no path begins: no instruction has this address, nor its complement.
const NOWHERE: usize = 1;

static SETS: Intern<WaitSet, { 1 << 13 }, CacheLine> = Intern::new(MOST_SETS);
static UNKEPT: OnceLock<Option<&'static WaitSet>> = OnceLock::new();

/// (distinct stacks, distinct sets, captures lost to full tables)
pub(crate) fn table_sizes() -> (usize, usize, u64) {
    (raw::count(), SETS.len(), raw::lost())
}

/// The path to the only registration of a set: what the next poll is compared with, in one cache line.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct OnlyPath {
    /// A copy of the path's slots, so that no pointer to it is followed. Written before `start`, and never after.
    slots: UnsafeCell<Slots>,
    /// The instruction at which it begins; the complement if the path is not fixed. [`NOWHERE`] until it is known.
    start: AtomicUsize,
}

#[expect(unsafe_code, reason = "a cell that is written once")]
// SAFETY: `set_path` writes the slots before it publishes the start, once. They are read after the start was seen.
unsafe impl Sync for OnlyPath {}

// Locks of `sync` have references to sets, and are as unwind-safe as std's. Nothing is written here while code that may panic
// runs.
impl std::panic::RefUnwindSafe for OnlyPath {}

/// In a task's record, in place of the path of a set if there is none. So a registration compares without asking for that.
static NO_PATH: OnlyPath = OnlyPath::unknown();

/// The stacks of the registrations of one poll. It is a list that shares its beginning with other lists, so the task's
/// record needs only one pointer.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct WaitSet {
    /// The path to the last registration, once it is known. Only in sets of one: see [`OnlyPath::is_taken`]. MUST be first, as
    /// records have its address. Otherwise they read another field.
    only: OnlyPath,
    /// The same path; null until it is known.
    path: AtomicPtr<Path>,
    /// The set of the first registration of a poll that followed one with this set by another path; null until there was
    /// one.
    successor: AtomicPtr<WaitSet>,
    /// The earlier registrations of the same poll.
    pub(crate) earlier: Option<&'static WaitSet>,
    /// The stack of the last registration.
    pub(crate) last: &'static RawStack,
    /// How many registrations the list holds.
    pub(crate) len: u16,
    /// Whether there were more registrations than are kept.
    pub(crate) overflowed: bool,
    /// Whether later polls begin with this list: see [`WaitSet::carried`].
    carried: bool,
}

impl OnlyPath {
    const fn unknown() -> Self {
        OnlyPath {
            slots: UnsafeCell::new(Slots::NONE),
            start: AtomicUsize::new(NOWHERE),
        }
    }

    /// Whether the path to the only registration of the set is fixed, begins at the anchor, and is that of the stack above it.
    /// The task's next poll most likely takes it again.
    ///
    /// # Safety
    /// The anchor was taken by a function that is still running on this thread.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads the slots and this thread's stack")]
    pub(crate) unsafe fn is_taken(&self, anchor: &Anchor) -> bool {
        // Acquire: pairs with the Release in `set_path`.
        self.start.load(Ordering::Acquire) == anchor.pc && {
            // SAFETY: they were written before this start, and are not written again.
            let slots = unsafe { &*self.slots.get() };
            // SAFETY: by this function's own contract; the path is fixed, as its start is no complement.
            unsafe { slots.match_stack(anchor) }
        }
    }
}

impl WaitSet {
    /// The word of a task's record for no set.
    pub(crate) const NO_WORD: *mut OnlyPath = (&raw const NO_PATH).cast_mut();

    /// The word for a task's record.
    #[inline(always)]
    pub(crate) fn word(set: Option<&'static WaitSet>) -> *mut OnlyPath {
        set.map_or(WaitSet::NO_WORD, |set| {
            std::ptr::from_ref(set).cast_mut().cast()
        })
    }

    /// The set of a word that [`WaitSet::word`] made.
    ///
    /// # Safety
    /// It is such a word.
    #[inline(always)]
    #[expect(unsafe_code, reason = "makes a reference of a word")]
    pub(crate) unsafe fn of_word(word: *const OnlyPath) -> Option<&'static WaitSet> {
        match std::ptr::eq(word, WaitSet::NO_WORD) {
            true => None,
            // SAFETY: the pointer was made of a reference to a set, which is interned and lives for ever.
            false => Some(unsafe { &*word.cast::<WaitSet>() }),
        }
    }

    /// The path in such a word.
    ///
    /// # Safety
    /// As for [`WaitSet::of_word`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "makes a reference of a word")]
    pub(crate) unsafe fn path_of_word(word: *const OnlyPath) -> &'static OnlyPath {
        // SAFETY: [`NO_PATH`], or a set, which has it first and lives for ever.
        unsafe { &*word }
    }

    /// `earlier` and then `last`. `None` if the table is full.
    pub(crate) fn push(
        earlier: Option<&'static WaitSet>,
        last: &'static RawStack,
    ) -> Option<&'static WaitSet> {
        // The same leaf again (a loop that registers in each iteration) adds nothing.
        if let Some(set) = earlier
            && std::ptr::eq(set.last, last)
        {
            return earlier;
        }
        let (earlier, overflowed) = match earlier {
            Some(full) if full.len >= MOST_WAITS => (full.earlier, true),
            other => (other, other.is_some_and(|set| set.overflowed)),
        };
        WaitSet {
            earlier,
            last,
            len: earlier.map_or(0, |set| set.len) + 1,
            overflowed,
            carried: false,
            only: OnlyPath::unknown(),
            path: AtomicPtr::new(std::ptr::null_mut()),
            successor: AtomicPtr::new(std::ptr::null_mut()),
        }
        .intern()
    }

    fn intern(self) -> Option<&'static WaitSet> {
        let earlier = self.earlier.map(std::ptr::from_ref);
        let (last, marks) = (self.last, (self.overflowed, self.carried));
        let hash = mix(earlier.map_or(0, |set| set as u64), last.hash);
        let same = |other: &WaitSet| {
            std::ptr::eq(other.last, last)
                && other.earlier.map(std::ptr::from_ref) == earlier
                && (other.overflowed, other.carried) == marks
        };
        let set = SETS.intern(hash, same, || self);
        if set.is_none() {
            raw::note_lost();
        }
        set
    }

    /// Makes [`WaitSet::unkept`] at the start, while there is room.
    pub(crate) fn init() {
        UNKEPT.get_or_init(|| {
            let stack = RawStack::intern(<() as HasMeta>::META, &[], 0, End::Unkept)?;
            WaitSet::push(None, stack)
        });
    }

    /// The placeholder for a registration that the tables have no room for.
    pub(crate) fn unkept() -> Option<&'static WaitSet> {
        *UNKEPT.get()?
    }

    /// The list that the next poll of a frozen task begins with: its leaves hold the same waker and do not register
    /// again. It is the list of the first such poll. Later polls add their registrations to it, so the lists do not
    /// grow with the task's history.
    pub(crate) fn carried(&'static self) -> Option<&'static WaitSet> {
        std::iter::successors(Some(self), |set| set.earlier)
            .find(|set| set.carried)
            .or_else(|| {
                WaitSet {
                    earlier: self.earlier,
                    last: self.last,
                    len: self.len,
                    overflowed: self.overflowed,
                    carried: true,
                    only: OnlyPath::unknown(),
                    path: AtomicPtr::new(std::ptr::null_mut()),
                    successor: AtomicPtr::new(std::ptr::null_mut()),
                }
                .intern()
            })
    }

    /// [`OnlyPath::is_taken`] of this set.
    ///
    /// # Safety
    /// The same.
    #[expect(unsafe_code, reason = "passes its own contract on")]
    pub(crate) unsafe fn takes_fixed_path(&self, anchor: &Anchor) -> bool {
        // SAFETY: passed on.
        unsafe { self.only.is_taken(anchor) }
    }

    /// The path to the only registration of the set, if it is not fixed and begins at the instruction `anchor`.
    #[expect(unsafe_code, reason = "reads a pointer to an interned path")]
    pub(crate) fn loose_path(&self, anchor: usize) -> Option<&'static Path> {
        // Acquire: pairs with the Release in `set_path`.
        if self.only.start.load(Ordering::Acquire) != !anchor {
            return None;
        }
        // SAFETY: `set_path` sets the path before its start, and neither again. Interned paths live for ever.
        Some(unsafe { &*self.path.load(Ordering::Relaxed) })
    }

    /// The set that followed one with this set, if the path to its only registration is taken as in [`OnlyPath::is_taken`].
    ///
    /// # Safety
    /// The same.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to an interned set")]
    pub(crate) unsafe fn successor(&self, anchor: &Anchor) -> Option<&'static WaitSet> {
        // Acquire: pairs with the Release in `set_successor`. SAFETY: null, or an interned set, which lives for ever.
        let set = unsafe { self.successor.load(Ordering::Acquire).as_ref() }?;
        // SAFETY: passed on.
        unsafe { set.only.is_taken(anchor) }.then_some(set)
    }

    /// A poll with `set` followed one with this set. Unless there is none yet, the successor is replaced only if
    /// `is_chosen`: threads that disagree would write to one cache line in each wait.
    pub(crate) fn set_successor(&self, set: &'static WaitSet, is_chosen: bool) {
        if is_chosen || self.successor.load(Ordering::Relaxed).is_null() {
            // Release: a thread that loads this sees the set.
            let new = std::ptr::from_ref(set).cast_mut();
            self.successor.store(new, Ordering::Release);
        }
    }

    /// Sets the path, unless there is one. Does nothing if the path does not lead to the set's only stack.
    #[expect(unsafe_code, reason = "writes the slots")]
    pub(crate) fn set_path(&self, path: &'static Path) {
        if self.earlier.is_some() || !std::ptr::eq(self.last, path.stack) {
            return;
        }
        let new = std::ptr::from_ref(path).cast_mut();
        let set = self.path.compare_exchange(
            std::ptr::null_mut(),
            new,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if set.is_ok() {
            // SAFETY: one thread sets the path, and readers see the start first.
            unsafe { *self.only.slots.get() = path.slots };
            // No address of code is the complement of another one.
            let start = match path.is_fixed {
                true => path.anchor,
                false => !path.anchor,
            };
            // Release: a thread that loads this sees the path and its slots.
            self.only.start.store(start, Ordering::Release);
        }
    }

    /// The stacks, last registration first.
    pub(crate) fn stacks(&'static self) -> impl Iterator<Item = &'static RawStack> {
        std::iter::successors(Some(self), |set| set.earlier).map(|set| set.last)
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::super::anchor::Anchor;
    use super::*;

    fn stack(leaf: usize) -> &'static RawStack {
        RawStack::intern(<() as HasMeta>::META, &[leaf, 2, 3], 0, End::Root).unwrap()
    }

    #[test]
    fn sets_keep_the_order_and_the_last() {
        let two = WaitSet::push(WaitSet::push(None, stack(1)), stack(2)).unwrap();
        let leaves: Vec<usize> = two.stacks().map(|stack| stack.pcs[0]).collect();
        assert_eq!(leaves, [2, 1]);
        assert!(
            std::ptr::eq(WaitSet::push(Some(two), stack(2)).unwrap(), two),
            "the same leaf again adds nothing"
        );
    }

    #[test]
    #[expect(unsafe_code, reason = "compares with an array")]
    fn the_first_path_stays_and_is_found_by_its_kind_only() {
        // A stack whose second word is the return address.
        let anchor_at = |pc, words: &[usize; 2]| {
            let sp = words.as_ptr().expose_provenance();
            Anchor { pc, sp, fp: 0 }
        };
        let path = |pc, leaf, is_fixed| {
            let anchor = Anchor { pc, sp: 0, fp: 0 };
            Path::intern(&anchor, 64, &[(8, leaf)], is_fixed, stack(leaf)).unwrap()
        };
        for (leaf, is_fixed) in [(7, false), (8, true)] {
            let set = WaitSet::push(None, stack(leaf)).unwrap();
            let words = [0, leaf];
            let found = |pc| {
                let anchor = anchor_at(pc, &words);
                // SAFETY: the anchor's stack is the array.
                let fixed = unsafe { set.takes_fixed_path(&anchor) };
                (fixed, set.loose_path(pc).map(std::ptr::from_ref))
            };
            set.set_path(path(0x1000, 9, is_fixed));
            assert_eq!(found(0x1000), (false, None), "of another stack");
            let first = path(0x1000, leaf, is_fixed);
            set.set_path(first);
            set.set_path(path(0x2000, leaf, is_fixed));
            let loose = (!is_fixed).then_some(std::ptr::from_ref(first));
            assert_eq!(found(0x1000), (is_fixed, loose));
            assert_eq!(found(0x2000), (false, None), "the first path stays");
            let another = [0, leaf + 1];
            // SAFETY: the same.
            let fixed = unsafe { set.takes_fixed_path(&anchor_at(0x1000, &another)) };
            assert!(!fixed, "another return address");
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "compares with an array")]
    fn a_successor_is_found_by_its_path_and_replaced_if_chosen() {
        let set = |leaf, is_fixed| {
            let anchor = Anchor {
                pc: 0x3000,
                sp: 0,
                fp: 0,
            };
            let path = Path::intern(&anchor, 64, &[(8, leaf)], is_fixed, stack(leaf)).unwrap();
            let set = WaitSet::push(None, stack(leaf)).unwrap();
            set.set_path(path);
            set
        };
        let [last, next, other] = [21, 22, 23].map(|leaf| set(leaf, true));
        let found = |leaf: usize| {
            let words = [0, leaf];
            let sp = words.as_ptr().expose_provenance();
            let anchor = Anchor {
                pc: 0x3000,
                sp,
                fp: 0,
            };
            // SAFETY: the anchor's stack is the array.
            unsafe { last.successor(&anchor) }.map(std::ptr::from_ref)
        };
        let (of_next, of_other) = (
            Some(std::ptr::from_ref(next)),
            Some(std::ptr::from_ref(other)),
        );
        assert_eq!((found(22), found(23)), (None, None));
        last.set_successor(next, false);
        assert_eq!((found(22), found(23)), (of_next, None));
        last.set_successor(other, false);
        assert_eq!((found(22), found(23)), (of_next, None));
        last.set_successor(other, true);
        assert_eq!((found(22), found(23)), (None, of_other));
        last.set_successor(set(24, false), true);
        assert_eq!(found(24), None, "its frames have no fixed sizes");
    }

    #[test]
    fn what_is_carried_does_not_grow() {
        let first = WaitSet::push(WaitSet::push(None, stack(1)), stack(2)).unwrap();
        let carried = first.carried().unwrap();
        assert!(!std::ptr::eq(carried, first));
        for leaf in 3..100 {
            let set = WaitSet::push(Some(carried), stack(leaf)).unwrap();
            assert_eq!(set.stacks().count(), 3);
            assert!(std::ptr::eq(set.carried().unwrap(), carried));
        }
    }

    #[test]
    fn a_full_set_keeps_the_first_and_the_last() {
        let mut set = None;
        for leaf in 1..1000 {
            set = WaitSet::push(set, stack(leaf));
        }
        let set = set.unwrap();
        let leaves: Vec<usize> = set.stacks().map(|stack| stack.pcs[0]).collect();
        assert_eq!(leaves.len(), usize::from(MOST_WAITS));
        assert_eq!((leaves[0], *leaves.last().unwrap()), (999, 1));
        assert!(set.overflowed);
    }
}
