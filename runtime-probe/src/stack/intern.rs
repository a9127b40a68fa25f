//! An append-only hash table without locks, in which equal values are one value.
//!
//! It is written inside of a leaf's `poll`, so under any locks that the leaf holds. So nothing here may block or call
//! foreign code: an insertion is an allocation, and then one compare-and-swap. Values are never removed. Their number
//! is bounded; beyond the bound the caller gets `None` and counts it.
//!
//! Rejected: a sharded `Mutex<HashMap>`. It calls the user's allocator while it is locked, and an allocator that
//! captures stacks would wait for itself.

use crate::primitive::{AtomicPtr, AtomicUsize, Ordering};

/// The alignment of a value that hot paths read: it begins a cache line.
#[repr(align(64))]
pub(crate) struct CacheLine;

/// The table. Its `B` buckets are inline, so a static table needs no allocation. The values are aligned as `A`.
pub(crate) struct Intern<T: 'static, const B: usize, A: 'static = ()> {
    buckets: [AtomicPtr<Node<T, A>>; B],
    len: AtomicUsize,
    most: usize,
}

#[repr(C)]
struct Node<T: 'static, A: 'static> {
    value: T,
    hash: u64,
    /// Older values of the bucket. Written before the node is published and never after.
    next: *mut Node<T, A>,
    align: [A; 0],
}

impl<T: Sync + Send, const B: usize, A> Intern<T, B, A> {
    /// A table of at most `most` values (a few more if threads race at the bound).
    #[cfg(not(probe_loom))]
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            buckets: [const { AtomicPtr::new(std::ptr::null_mut()) }; B],
            len: AtomicUsize::new(0),
            most,
        }
    }

    #[cfg(probe_loom)]
    pub(crate) fn new(most: usize) -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())),
            len: AtomicUsize::new(0),
            most,
        }
    }

    /// How many distinct values there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there is no room for another one.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// All values, in no particular order.
    #[cfg(not(probe_loom))]
    #[expect(unsafe_code, reason = "nodes are shared by pointer and live for ever")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> {
        let heads = self.buckets.iter();
        heads.flat_map(|bucket| {
            // SAFETY: null or a published node; those are never freed nor written.
            let node = |at: *mut Node<T, A>| unsafe { at.cast_const().as_ref::<'static>() };
            let first = node(bucket.load(Ordering::Acquire));
            std::iter::successors(first, move |at| node(at.next)).map(|at| &at.value)
        })
    }

    /// The value with this `hash` for which `same` is true. If there is none, it is made by `make`; `None` if the table
    /// is full. `make` is called without any lock, and its value is dropped if another thread was faster.
    #[inline(always)]
    pub(crate) fn intern(
        &self,
        hash: u64,
        same: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Option<&'static T> {
        let bucket = &self.buckets[(hash as usize) % B];
        // Acquire: pairs with the Release that published the node; its fields are visible.
        let head = bucket.load(Ordering::Acquire);
        match find(head, std::ptr::null_mut(), hash, &same) {
            Some(found) => Some(found),
            None => self.insert(bucket, head, hash, same, make),
        }
    }

    /// Inserts a value that was not found from `head` on.
    #[cold]
    #[inline(never)]
    #[expect(unsafe_code, reason = "nodes are shared by pointer and live for ever")]
    fn insert(
        &self,
        bucket: &AtomicPtr<Node<T, A>>,
        mut head: *mut Node<T, A>,
        hash: u64,
        same: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Option<&'static T> {
        if self.is_full() {
            return None;
        }
        let node = Box::into_raw(Box::new(Node {
            hash,
            next: head,
            value: make(),
            align: [],
        }));
        loop {
            // Release: publishes the node's fields. Acquire on failure: the newer nodes are read next.
            match bucket.compare_exchange(head, node, Ordering::Release, Ordering::Acquire) {
                Ok(_) => {
                    self.len.fetch_add(1, Ordering::Relaxed);
                    // SAFETY: the node was published just now and nodes are never freed once published.
                    return Some(unsafe { &(*node).value });
                }
                Err(newer) => {
                    if let Some(found) = find(newer, head, hash, &same) {
                        // SAFETY: `node` came from Box::into_raw above and was never published.
                        drop(unsafe { Box::from_raw(node) });
                        return Some(found);
                    }
                    head = newer;
                    // SAFETY: not yet published, so this thread alone may write it.
                    unsafe { (*node).next = newer };
                }
            }
        }
    }
}

/// Searches from `from` up to, not including, `until`.
#[inline(always)]
#[expect(unsafe_code, reason = "nodes are shared by pointer and live for ever")]
fn find<T, A>(
    from: *mut Node<T, A>,
    until: *mut Node<T, A>,
    hash: u64,
    same: &impl Fn(&T) -> bool,
) -> Option<&'static T> {
    let mut at = from;
    while at != until {
        // SAFETY: `at` is not null, because a chain ends in null, and `until`, at which the walk stops, is null or an
        // earlier head of the same chain. Published nodes are never freed nor written.
        let node: &'static Node<T, A> = unsafe { &*at };
        if node.hash == hash && same(&node.value) {
            return Some(&node.value);
        }
        at = node.next;
    }
    None
}

/// Folds one word into a hash: a multiplication and a rotation, good enough for code addresses (a table of 8,192 chains).
#[inline(always)]
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[expect(
    unsafe_code,
    reason = "the raw pointers inside stand for shared references"
)]
// SAFETY: nodes are reached through atomics, are immutable once published, and hold `T: Send + Sync` values.
unsafe impl<T: Send + Sync, const B: usize, A> Sync for Intern<T, B, A> {}
#[expect(
    unsafe_code,
    reason = "the raw pointers inside stand for shared references"
)]
// SAFETY: as for Sync.
unsafe impl<T: Send + Sync, const B: usize, A> Send for Intern<T, B, A> {}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn of(table: &Intern<u32, 4>, value: u32) -> Option<&'static u32> {
        table.intern(u64::from(value % 3), |other| *other == value, || value)
    }

    proptest::proptest! {
        #[test]
        fn equal_values_are_one_value(values in proptest::collection::vec(0u32..50, 0..200)) {
            let table: Intern<u32, 4> = Intern::new(1000);
            let mut model: HashMap<u32, *const u32> = HashMap::new();
            for value in values {
                let got = of(&table, value).unwrap();
                proptest::prop_assert_eq!(*got, value);
                let first = *model.entry(value).or_insert(got);
                proptest::prop_assert_eq!(first, got as *const u32);
            }
            proptest::prop_assert_eq!(table.len(), model.len());
        }
    }

    #[test]
    fn a_full_table_still_finds_what_it_has() {
        let table: Intern<u32, 4> = Intern::new(2);
        assert!(of(&table, 1).is_some() && of(&table, 2).is_some());
        assert!(of(&table, 3).is_none());
        assert!(of(&table, 1).is_some());
    }

    #[test]
    fn threads_agree() {
        let table: Intern<u32, 4> = Intern::new(10_000);
        let seen: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1000)
                            .map(|value| of(&table, value).unwrap() as *const u32 as usize)
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(table.len(), 1000);
    }
}
