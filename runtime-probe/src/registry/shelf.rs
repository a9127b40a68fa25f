//! Numbered slots in memory that is never freed. Readers may read them at any time; slots are taken and returned
//! without a lock.
//!
//! A slot is found by its number: bucket `k` has `FIRST << k` slots. Free slots are a linked list of numbers. The head
//! has a counter beside it, so that a head which was taken and returned meanwhile is recognized (the ABA problem).
//!
//! Allowed here: compare-and-exchange, and an allocation when more slots are in use than ever before. Forbidden: locks.

use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::num::NonZeroU32;
use std::ptr::null_mut;

/// The number of slots of the first bucket.
const FIRST: u32 = if cfg!(probe_loom) { 1 } else { 64 };
const BUCKETS: usize = if cfg!(probe_loom) { 2 } else { 15 };
/// The number of slots of all buckets: two million.
const MOST: u32 = FIRST * ((1 << BUCKETS) - 1);

/// The requirements of a slot.
pub(crate) trait Slot: 'static {
    fn new() -> Self;

    /// While the slot is free: the number of the next free slot, or 0.
    fn next(&self) -> &AtomicU32;
}

/// Slots of one kind.
pub(crate) struct Shelf<S> {
    buckets: [AtomicPtr<S>; BUCKETS],
    /// Lower half: the number of the first free slot, or 0. Upper half: how often that has changed.
    free: AtomicU64,
    /// How many slots were ever taken.
    made: AtomicU32,
}

impl<S: Slot> Shelf<S> {
    #[cfg(not(probe_loom))]
    pub(crate) const fn new() -> Self {
        Shelf {
            buckets: [const { AtomicPtr::new(null_mut()) }; BUCKETS],
            free: AtomicU64::new(0),
            made: AtomicU32::new(0),
        }
    }

    #[cfg(probe_loom)]
    pub(crate) fn new() -> Self {
        Shelf {
            buckets: std::array::from_fn(|_| AtomicPtr::new(null_mut())),
            free: AtomicU64::new(0),
            made: AtomicU32::new(0),
        }
    }

    /// Takes a slot; `None` if all are in use.
    pub(crate) fn take(&'static self) -> Option<(NonZeroU32, &'static S)> {
        let mut free = self.free.load(Ordering::Acquire);
        while let Some(number) = NonZeroU32::new(free as u32) {
            let slot = self.slot(number)?;
            let next = slot.next().load(Ordering::Relaxed);
            match self.exchange(free, next) {
                Ok(()) => return Some((number, slot)),
                Err(now) => free = now,
            }
        }
        let made = self.made.load(Ordering::Relaxed);
        if made >= MOST {
            return None;
        }
        // Several threads may be here at once. Each gets a number of its own.
        let number = NonZeroU32::new(self.made.fetch_add(1, Ordering::Relaxed) + 1)?;
        Some((number, self.slot_or_make(number)?))
    }

    /// Returns a slot.
    pub(crate) fn give(&'static self, number: NonZeroU32) {
        let Some(slot) = self.slot(number) else {
            return;
        };
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            slot.next().store(free as u32, Ordering::Relaxed);
            match self.exchange(free, number.get()) {
                Ok(()) => return,
                Err(now) => free = now,
            }
        }
    }

    /// Replaces the head `free` by `number`. Release: the next owner sees the slot as it was returned.
    fn exchange(&self, free: u64, number: u32) -> Result<(), u64> {
        let changes = (free >> 32).wrapping_add(1);
        let new = changes << 32 | u64::from(number);
        self.free
            .compare_exchange(free, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }

    /// All slots that were ever in use, with their numbers.
    pub(crate) fn slots(&'static self) -> impl Iterator<Item = (NonZeroU32, &'static S)> {
        let made = self.made.load(Ordering::Acquire).min(MOST);
        (1..=made)
            .filter_map(NonZeroU32::new)
            .filter_map(|number| Some((number, self.slot(number)?)))
    }

    /// The slot of a number; `None` if it was not made yet.
    #[expect(unsafe_code, reason = "slots live for ever")]
    pub(crate) fn slot(&'static self, number: NonZeroU32) -> Option<&'static S> {
        let (bucket, at) = position(number);
        let slots = self.buckets.get(bucket)?.load(Ordering::Acquire);
        // SAFETY: null, or a bucket of `FIRST << bucket` slots that is never freed, and `at` is less than that.
        (!slots.is_null()).then(|| unsafe { &*slots.add(at) })
    }

    #[expect(
        unsafe_code,
        reason = "gives a bucket back that another thread made first"
    )]
    fn slot_or_make(&'static self, number: NonZeroU32) -> Option<&'static S> {
        let (bucket, _) = position(number);
        let cell = self.buckets.get(bucket)?;
        if cell.load(Ordering::Acquire).is_null() {
            let len = (FIRST << bucket) as usize;
            let new: Box<[S]> = (0..len).map(|_| S::new()).collect();
            let new = Box::into_raw(new);
            let first = new.cast::<S>();
            let made =
                cell.compare_exchange(null_mut(), first, Ordering::AcqRel, Ordering::Acquire);
            if made.is_err() {
                // SAFETY: the pointer came from the box above, and no other code has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
        self.slot(number)
    }
}

/// The bucket of a slot, and its index there.
fn position(number: NonZeroU32) -> (usize, usize) {
    let at = (number.get() - 1) / FIRST + 1;
    let bucket = at.ilog2();
    let before = FIRST * ((1 << bucket) - 1);
    (bucket as usize, (number.get() - 1 - before) as usize)
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    struct Empty(AtomicU32);

    impl Slot for Empty {
        fn new() -> Self {
            Empty(AtomicU32::new(0))
        }

        fn next(&self) -> &AtomicU32 {
            &self.0
        }
    }

    #[test]
    fn each_number_has_a_place_of_its_own() {
        let mut last = (0, 0);
        for number in 2..10_000 {
            let (bucket, at) = position(NonZeroU32::new(number).unwrap());
            let expected = match last.1 + 1 < (FIRST << last.0) as usize {
                true => (last.0, last.1 + 1),
                false => (last.0 + 1, 0),
            };
            assert_eq!((bucket, at), expected, "{number}");
            last = (bucket, at);
        }
        let (bucket, at) = position(NonZeroU32::new(MOST).unwrap());
        assert_eq!((bucket, at), (BUCKETS - 1, (FIRST << bucket) as usize - 1));
    }

    proptest! {
        /// Compared with a set of the numbers in use: no number is taken twice, and a new one only if none is free.
        #[test]
        fn what_is_taken_is_free(ops in proptest::collection::vec(0..3u8, 1..400)) {
            let shelf: &'static Shelf<Empty> = Box::leak(Box::new(Shelf::new()));
            let (mut used, mut most) = (BTreeSet::new(), 0);
            for (step, op) in ops.into_iter().enumerate() {
                if op == 0 && !used.is_empty() {
                    let number = *used.iter().nth(step % used.len()).unwrap();
                    used.remove(&number);
                    shelf.give(number);
                } else {
                    let (number, slot) = shelf.take().unwrap();
                    prop_assert!(used.insert(number));
                    prop_assert!(std::ptr::eq(slot, shelf.slot(number).unwrap()));
                    most = most.max(used.len());
                    prop_assert!(number.get() as usize <= most);
                }
            }
            prop_assert_eq!(shelf.slots().count(), most);
        }
    }
}
