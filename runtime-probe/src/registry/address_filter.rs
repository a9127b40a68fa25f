//! A filter that rules out most addresses without a sampled block: one load in each free.
//!
//! A counter for each 64 bytes of the address space, modulo the size of the table. A counter that reaches its maximum
//! stays there: the answer is "maybe", and the table of blocks is searched.

use crate::primitive::{AtomicU8, Ordering};

/// The number of counters. Adjacent memory has adjacent counters, and the lines of 64 MiB of memory have one each.
const COUNTERS: usize = 1 << 20;

/// The filter: 1 MiB of zeros. Its pages are allocated when blocks are sampled.
pub(crate) struct AddressFilter([AtomicU8; COUNTERS]);

impl AddressFilter {
    #[cfg(not(probe_loom))]
    pub(crate) const fn new() -> Self {
        AddressFilter([const { AtomicU8::new(0) }; COUNTERS])
    }

    #[inline(always)]
    fn counter(&self, address: usize) -> &AtomicU8 {
        // Addresses that differ by a multiple of 64 MiB mostly have different counters.
        &self.0[((address ^ (address >> 17)) >> 6) % COUNTERS]
    }

    /// Whether a sampled block may begin there. Relaxed: the asking thread got the address from the thread that sampled
    /// the block.
    #[inline(always)]
    pub(crate) fn may_have(&self, address: usize) -> bool {
        self.counter(address).load(Ordering::Relaxed) != 0
    }

    /// Adds a sampled block that begins there.
    pub(crate) fn add(&self, address: usize) {
        let more = |count: u8| count.checked_add(1);
        let _ = self
            .counter(address)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Removes that block.
    pub(crate) fn remove(&self, address: usize) {
        let fewer = |count: u8| (count != u8::MAX).then(|| count.saturating_sub(1));
        let _ = self
            .counter(address)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;

    static FILTER: AddressFilter = AddressFilter::new();

    #[test]
    fn what_was_added_may_be_there_and_the_rest_mostly_is_not() {
        let blocks = || (0..2000usize).map(|at| 0x7f00_0000_0000 + at * 262_144);
        blocks().for_each(|address| FILTER.add(address));
        assert!(blocks().all(|address| FILTER.may_have(address)));
        let others = (0..100_000usize).map(|at| 0x7f00_0000_0000 + at * 4096 + 1024);
        let wrong = others.filter(|address| FILTER.may_have(*address)).count();
        assert!(wrong < 2000, "{wrong} of 100000");
        blocks().for_each(|address| FILTER.remove(address));
        assert!(blocks().all(|address| !FILTER.may_have(address)));

        let full = 0x1000;
        (0..300).for_each(|_| FILTER.add(full));
        (0..300).for_each(|_| FILTER.remove(full));
        assert!(FILTER.may_have(full), "it is not known how many there were");
    }
}
