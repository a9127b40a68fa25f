//! Says of most addresses that no sampled block lies there: one load in each free.
//!
//! A counter for each 64 bytes of the address space, folded. Counters that are as high as they go stay there: then
//! the answer is "maybe", and the table of blocks is asked.

use crate::primitive::{AtomicU8, Ordering};

/// Counters: neighbours in memory are neighbours here, and 64 MiB of memory have one each.
const COUNTERS: usize = 1 << 20;

/// The filter: 1 MiB of zeros, of which pages are taken as blocks are sampled.
pub(crate) struct AddressFilter([AtomicU8; COUNTERS]);

impl AddressFilter {
    #[cfg(not(probe_loom))]
    pub(crate) const fn new() -> Self {
        AddressFilter([const { AtomicU8::new(0) }; COUNTERS])
    }

    #[inline(always)]
    fn counter(&self, address: usize) -> &AtomicU8 {
        // Two multiples of 64 MiB apart are two counters, mostly.
        &self.0[((address >> 6) ^ (address >> 23)) % COUNTERS]
    }

    /// Whether a sampled block may begin there. The thread that asks has the address from the one that sampled it.
    #[inline(always)]
    pub(crate) fn may_have(&self, address: usize) -> bool {
        self.counter(address).load(Ordering::Relaxed) != 0
    }

    /// A sampled block begins there from now on.
    pub(crate) fn add(&self, address: usize) {
        let more = |count: u8| count.checked_add(1);
        let _ = self
            .counter(address)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// It does no longer.
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
