//! Interned lists of words, each with sums: append-only, lock-free, in preallocated memory. It is
//! [`Intern`](super::intern::Intern) for callers that may not allocate.
//!
//! | memory | content |
//! |---|---|
//! | `index` | a half of a list's hash, and its index in `lists` plus 1; 0 for a free entry |
//! | `lists` | for each list: the numbers of words and sums, the words, the sums |
//!
//! 1. A list's words MUST be written before its entry in the index, and never after. Otherwise a reader compares with
//!    words that are not written yet.

use super::intern::mix;
use crate::primitive::{AtomicU64, AtomicUsize, Ordering};

/// The most entries of the index that are tried for a list.
const MOST_PROBES: usize = 64;

/// The lists.
pub(crate) struct WordLists {
    index: &'static [AtomicU64],
    lists: &'static [AtomicU64],
    used: AtomicUsize,
}

/// The number of a list in one [`WordLists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ListNumber(pub(crate) u32);

impl WordLists {
    /// A table in zeroed memory. `lists` has at most 2^32 words.
    pub(crate) fn new(index: &'static [AtomicU64], lists: &'static [AtomicU64]) -> Self {
        WordLists {
            index,
            lists,
            used: AtomicUsize::new(0),
        }
    }

    /// The interned list, with `sums` sums that begin at 0. All lists of a table MUST have the same number of sums.
    /// Otherwise equal lists would not be interchangeable. `None` if the list is new and fewer than `spare` words would
    /// be left.
    pub(crate) fn intern(
        &self,
        words: impl Iterator<Item = u64> + Clone,
        sums: usize,
        spare: usize,
    ) -> Option<ListNumber> {
        let hash = words.clone().fold(0, mix);
        let hash = mix(hash, hash >> 29);
        let mut own = None;
        for probe in 0..MOST_PROBES.min(self.index.len()) {
            let place = &self.index[((hash >> 32) as usize + probe) % self.index.len()];
            // Acquire: pairs with the Release that published the list; its words are visible.
            let mut known = place.load(Ordering::Acquire);
            if known == 0 {
                let at = match own {
                    Some(at) => at,
                    None => self.append(words.clone(), sums, spare)?,
                };
                own = Some(at);
                let entry = hash << 32 | (at as u64 + 1);
                match place.compare_exchange(0, entry, Ordering::Release, Ordering::Acquire) {
                    Ok(_) => return Some(ListNumber(at as u32)),
                    Err(other) => known = other,
                }
            }
            let at = (known as u32 - 1) as usize;
            if known >> 32 == hash & 0xffff_ffff && self.is(at, words.clone()) {
                if let Some(own) = own {
                    self.give_back(own);
                }
                return Some(ListNumber(at as u32));
            }
        }
        None
    }

    /// Writes a list, before its entry in the index.
    fn append(
        &self,
        words: impl Iterator<Item = u64> + Clone,
        sums: usize,
        spare: usize,
    ) -> Option<usize> {
        let len = words.clone().count();
        let size = 1 + len + sums;
        let room = |used: usize| {
            let end = used + size;
            (end + spare <= self.lists.len()).then_some(end)
        };
        let at = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .ok()?;
        let all = [(sums as u64) << 32 | len as u64]
            .into_iter()
            .chain(words)
            .chain(std::iter::repeat_n(0, sums));
        for (place, word) in self.lists[at..at + size].iter().zip(all) {
            place.store(word, Ordering::Relaxed);
        }
        Some(at)
    }

    /// Frees a list that another thread has added sooner. If other lists were appended meanwhile, its room is lost.
    fn give_back(&self, at: usize) {
        let (len, sums) = self.sizes(at);
        let end = at + 1 + len + sums;
        let _ = self
            .used
            .compare_exchange(end, at, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn sizes(&self, at: usize) -> (usize, usize) {
        let sizes = self.lists[at].load(Ordering::Relaxed);
        (sizes as u32 as usize, (sizes >> 32) as usize)
    }

    fn is(&self, at: usize, words: impl Iterator<Item = u64>) -> bool {
        let (len, _) = self.sizes(at);
        let known = self.lists[at + 1..at + 1 + len].iter();
        known.map(|word| word.load(Ordering::Relaxed)).eq(words)
    }

    /// The words of a list.
    pub(crate) fn words(&self, ListNumber(at): ListNumber) -> Vec<u64> {
        let at = at as usize;
        let (len, _) = self.sizes(at);
        let words = self.lists[at + 1..at + 1 + len].iter();
        words.map(|word| word.load(Ordering::Relaxed)).collect()
    }

    /// The sums of a list.
    pub(crate) fn sums(&self, ListNumber(at): ListNumber) -> &[AtomicU64] {
        let at = at as usize;
        let (len, sums) = self.sizes(at);
        &self.lists[at + 1 + len..at + 1 + len + sums]
    }

    /// All lists.
    pub(crate) fn all(&self) -> impl Iterator<Item = ListNumber> {
        let known = self
            .index
            .iter()
            .map(|place| place.load(Ordering::Acquire) as u32);
        known
            .filter(|place| *place != 0)
            .map(|place| ListNumber(place - 1))
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn lists(index: usize, words: usize) -> WordLists {
        let zeros = |count| -> &'static [AtomicU64] {
            Vec::leak((0..count).map(|_| AtomicU64::new(0)).collect())
        };
        WordLists::new(zeros(index), zeros(words))
    }

    proptest::proptest! {
        #[test]
        fn equal_lists_are_one_and_keep_their_sums(
            added in proptest::collection::vec((proptest::collection::vec(0u64..4, 0..4), 1u64..9), 0..300)
        ) {
            let table = lists(1 << 10, 1 << 14);
            let mut model: HashMap<Vec<u64>, u64> = HashMap::new();
            for (words, more) in added {
                let list = table.intern(words.iter().copied(), 2, 0).unwrap();
                table.sums(list)[1].fetch_add(more, Ordering::Relaxed);
                *model.entry(words).or_default() += more;
            }
            let sum = |list| table.sums(list)[1].load(Ordering::Relaxed);
            let all: HashMap<_, _> = table.all().map(|list| (table.words(list), sum(list))).collect();
            proptest::prop_assert_eq!(all, model);
        }
    }

    #[test]
    fn a_full_table_finds_what_it_has_and_keeps_its_spare_room() {
        let table = lists(64, 12);
        let first = table.intern([1, 2].into_iter(), 1, 4).unwrap();
        assert!(table.intern([3, 4].into_iter(), 1, 4).is_some());
        assert_eq!(table.intern([5, 6].into_iter(), 1, 4), None);
        assert_eq!(table.intern([1, 2].into_iter(), 1, 4), Some(first));
        assert!(table.intern([5, 6].into_iter(), 1, 0).is_some());
        assert_eq!(table.all().count(), 3);
    }

    #[test]
    fn no_sum_is_lost_between_threads() {
        let table = lists(1 << 10, 1 << 14);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..10_000u64 {
                        let words = [number % 97, 7];
                        let list = table.intern(words.into_iter(), 1, 0).unwrap();
                        table.sums(list)[0].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let sums = table
            .all()
            .map(|list| table.sums(list)[0].load(Ordering::Relaxed));
        assert_eq!((table.all().count(), sums.sum::<u64>()), (97, 40_000));
    }
}
