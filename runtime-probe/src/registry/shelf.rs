//! Numbered slots in memory that is never given back: what a reader may look at whenever it likes, and what is taken and given
//! back without a lock.
//!
//! A slot is found by its number: bucket `k` has `FIRST << k` of them. Free ones are a linked list of numbers, whose head has a
//! count beside it: a head that was taken and given back in the meantime is another head.
//!
//! Allowed here: a compare-and-exchange, and an allocation where there were never so many slots in use. Forbidden: a lock.

use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::num::NonZeroU32;
use std::ptr::null_mut;

/// Slots of the first bucket.
const FIRST: u32 = if cfg!(probe_loom) { 1 } else { 64 };
const BUCKETS: usize = if cfg!(probe_loom) { 2 } else { 15 };
/// What all buckets hold: two million.
const MOST: u32 = FIRST * ((1 << BUCKETS) - 1);

/// What a slot needs of its own.
pub(crate) trait Slot: 'static {
    fn new() -> Self;

    /// While it is free: the number of the next free one, or 0.
    fn next(&self) -> &AtomicU32;
}

/// Slots of one kind.
pub(crate) struct Shelf<S> {
    buckets: [AtomicPtr<S>; BUCKETS],
    /// The number of a free slot, or 0, and how often that has changed in the upper half.
    free: AtomicU64,
    /// How many there are, free or not.
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

    /// A slot that nothing else uses; `None` if all are in use.
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
        // Several may come this far at once: none of them takes another's number.
        let number = NonZeroU32::new(self.made.fetch_add(1, Ordering::Relaxed) + 1)?;
        Some((number, self.slot_or_make(number)?))
    }

    /// Gives one back that [`Shelf::take`] gave.
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

    /// Makes `number` the head in the place of `free`. Release: who takes it sees the slot as it was given back.
    fn exchange(&self, free: u64, number: u32) -> Result<(), u64> {
        let changes = (free >> 32).wrapping_add(1);
        let new = changes << 32 | u64::from(number);
        self.free
            .compare_exchange(free, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }

    /// All that were ever in use, with their numbers.
    pub(crate) fn slots(&'static self) -> impl Iterator<Item = (NonZeroU32, &'static S)> {
        let made = self.made.load(Ordering::Acquire).min(MOST);
        (1..=made)
            .filter_map(NonZeroU32::new)
            .filter_map(|number| Some((number, self.slot(number)?)))
    }

    /// The slot of that number; `None` where there is none, or none yet.
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
                // SAFETY: it is of the box above, and nothing else has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
        self.slot(number)
    }
}

/// The bucket of a slot, and its place there.
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
        /// Against a set of the numbers in use: none is given out twice, and one is new only where none was free.
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
