//! The creators of live threads: the words that the creator of a thread wrote, for as long as the thread lives.
//!
//! Allowed in [`Births::announce`]: loads and stores of the table's own words. Forbidden: locks and allocation; an
//! allocator may create a thread while it holds its own lock. The table is bounded: further threads have no entry, and
//! are counted.
//!
//! | `taken` | `tid` | state of the slot |
//! |---|---|---|
//! | 0 | 0 | free |
//! | 1 | 0 | the creator writes it, or the thread has not begun yet |
//! | 1 | a thread | belongs to that thread; readers may read it |
//!
//! 1. `version` MUST change before the words do, and readers MUST load it before and after them. Otherwise a reader
//!    mixes words of two threads.
//! 2. `tid` MUST be 0 again before `taken` is. Otherwise a reader takes the words of the next thread for those of the
//!    previous one.

use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::ffi::c_void;

/// The most live threads with an entry.
pub(crate) const MOST_THREADS: usize = 4096;

/// The table. Entries have at most `WORDS` words.
pub(crate) struct Births<const SLOTS: usize, const WORDS: usize> {
    slots: [Slot<WORDS>; SLOTS],
    /// Where to look for a free slot first.
    next: AtomicUsize,
    missed: AtomicU64,
}

/// A thread's slot in the table.
pub(crate) struct Slot<const WORDS: usize> {
    taken: AtomicU32,
    tid: AtomicU32,
    version: AtomicU64,
    /// The function that the thread is to run, and its argument.
    pub(crate) function: AtomicPtr<c_void>,
    pub(crate) argument: AtomicPtr<c_void>,
    len: AtomicUsize,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Slot<WORDS> {
    #[cfg(not(probe_loom))]
    const fn free() -> Self {
        Slot {
            taken: AtomicU32::new(0),
            tid: AtomicU32::new(0),
            version: AtomicU64::new(0),
            function: AtomicPtr::new(std::ptr::null_mut()),
            argument: AtomicPtr::new(std::ptr::null_mut()),
            len: AtomicUsize::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// loom's atomics have no const constructor.
    #[cfg(probe_loom)]
    fn free() -> Self {
        Slot {
            taken: AtomicU32::new(0),
            tid: AtomicU32::new(0),
            version: AtomicU64::new(0),
            function: AtomicPtr::new(std::ptr::null_mut()),
            argument: AtomicPtr::new(std::ptr::null_mut()),
            len: AtomicUsize::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Publishes the slot: it belongs to this thread.
    pub(crate) fn begin(&self, tid: u32) {
        // Release: pairs with the Acquire in `alive`.
        self.tid.store(tid, Ordering::Release);
    }

    /// Frees the slot: the thread has ended, or never began.
    pub(crate) fn end(&self) {
        self.tid.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire in `announce`.
        self.taken.store(0, Ordering::Release);
    }
}

impl<const SLOTS: usize, const WORDS: usize> Births<SLOTS, WORDS> {
    #[cfg(not(probe_loom))]
    pub(crate) const fn new() -> Self {
        Births {
            slots: [const { Slot::free() }; SLOTS],
            next: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
        }
    }

    #[cfg(probe_loom)]
    pub(crate) fn new() -> Self {
        Births {
            slots: std::array::from_fn(|_| Slot::free()),
            next: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
        }
    }

    /// Takes a slot for a thread that is about to be created, and writes at most `WORDS` words of the iterator. `None`
    /// if there is no room.
    pub(crate) fn announce(&self, words: impl Iterator<Item = u64>) -> Option<&Slot<WORDS>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut slots = (0..SLOTS).map(|at| &self.slots[first.wrapping_add(at) % SLOTS]);
        let slot = slots.find(|slot| {
            let taken = slot.taken.load(Ordering::Relaxed) == 0;
            // Acquire: pairs with the Release in `end`.
            taken && slot.taken.swap(1, Ordering::Acquire) == 0
        });
        let Some(slot) = slot else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        // Release: a reader that sees the new version sees no thread in the slot, or the new one.
        slot.version.fetch_add(1, Ordering::Release);
        // Release: pairs with the fence of a reader that sees any of the words below.
        fence(Ordering::Release);
        let mut len = 0;
        for (kept, word) in slot.words.iter().zip(words) {
            kept.store(word, Ordering::Relaxed);
            len += 1;
        }
        slot.len.store(len, Ordering::Relaxed);
        Some(slot)
    }

    /// Visits the entries of live threads: (thread, words).
    pub(crate) fn alive(&self, mut visit: impl FnMut(u32, &[u64])) {
        let mut entry = [0; WORDS];
        for slot in &self.slots {
            let version = slot.version.load(Ordering::Acquire);
            // Acquire: pairs with the Release in `begin`.
            let tid = slot.tid.load(Ordering::Acquire);
            if tid == 0 {
                continue;
            }
            let len = slot.len.load(Ordering::Relaxed).min(WORDS);
            for (to, from) in entry.iter_mut().zip(&slot.words[..len]) {
                *to = from.load(Ordering::Relaxed);
            }
            // Acquire: pairs with the fence in `announce`.
            fence(Ordering::Acquire);
            if slot.version.load(Ordering::Relaxed) == version {
                visit(tid, &entry[..len]);
            }
        }
    }

    /// How many threads had no room so far.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::atomic::AtomicBool;

    fn read<const S: usize>(births: &Births<S, 3>) -> HashMap<u32, Vec<u64>> {
        let mut alive = HashMap::new();
        births.alive(|tid, words| {
            alive.insert(tid, words.to_vec());
        });
        alive
    }

    #[test]
    fn an_entry_lives_as_long_as_its_thread() {
        let births = Births::<2, 3>::new();
        let slot = births.announce([1, 2, 3, 4].into_iter()).unwrap();
        assert!(read(&births).is_empty(), "it has not begun");
        slot.begin(7);
        let other = births.announce([5].into_iter()).unwrap();
        other.begin(8);
        let both = HashMap::from([(7, vec![1, 2, 3]), (8, vec![5])]);
        assert_eq!(read(&births), both);
        assert!(births.announce([6].into_iter()).is_none());
        assert_eq!((births.missed(), read(&births)), (1, both));
        slot.end();
        assert_eq!(read(&births), HashMap::from([(8, vec![5])]));
        births.announce([9].into_iter()).unwrap().begin(9);
        assert_eq!(read(&births)[&9], [9]);
    }

    /// Whenever an entry is read, all its words are the number of its thread.
    #[test]
    fn a_reader_never_mixes_two_threads() {
        let births = Births::<4, 3>::new();
        let (over, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for first in 1..4u32 {
                let (births, over, rounds) = (&births, &over, &rounds);
                scope.spawn(move || {
                    let mut tid = first;
                    while !over.load(Ordering::Relaxed) {
                        if let Some(slot) = births.announce([u64::from(tid); 3].into_iter()) {
                            slot.begin(tid);
                            slot.end();
                        }
                        tid = tid.wrapping_add(4).max(1);
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let mut seen = 0;
            while seen < 1000 || rounds.load(Ordering::Relaxed) < 10_000 {
                births.alive(|tid, words| {
                    assert_eq!(words, [u64::from(tid); 3]);
                    seen += 1;
                });
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}
