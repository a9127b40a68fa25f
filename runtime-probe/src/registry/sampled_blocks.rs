//! The live sampled blocks of memory, by address. A free looks up its block here.
//!
//! Allowed here: loads, stores and exchanges of the table's own words. Forbidden: locks, allocation. The caller is
//! inside of an allocation.
//!
//! A slot has three words:
//!
//! | word | content |
//! |---|---|
//! | key | lower 56 bits: the address; 0 for a free slot, 1 for one being written. Upper bits: a number that changes with each block |
//! | site | the number of the site that the block is counted by, and the time of the allocation |
//! | task | the number of the name of the task that allocated it |
//!
//! 1. A block MUST be removed before its memory is freed. Otherwise another thread gets the same address, and the table
//!    has it twice.
//! 2. The words of a block MUST be written while the key is 1, and the key after them. Otherwise a reader takes the
//!    words of the previous block for this one's.
//!
//! Slots are in levels, each twice as large as the one before. A block without a free slot in its window of a level
//! goes to the next level. So memory grows with the blocks: 24 bytes a slot, and used levels are three quarters full.
//! Rejected: one large table, in which each block would touch a page.

use crate::primitive::{AtomicU64, AtomicUsize, Ordering};

/// The number of slots of the first level.
const FIRST: usize = 1024;
/// The number of slots that an address may have in each level.
const WINDOW: usize = 16;
const WORDS: usize = 3;

const ADDRESS: u64 = (1 << 56) - 1;
const NUMBER: u64 = 1 << 56;
const WRITTEN: u64 = 1;

/// A sampled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The number of the site that the block is counted by.
    pub(crate) site: u32,
    /// When it was allocated, in the allocator's own unit.
    pub(crate) born: u32,
    /// The number of the name of the task that allocated it; 0 for none.
    pub(crate) task: u32,
}

/// The table.
pub(crate) struct SampledBlocks {
    slots: &'static [AtomicU64],
    first: usize,
    /// The number of levels that were ever used.
    levels: AtomicUsize,
}

impl SampledBlocks {
    /// The number of words of a table with so many levels.
    pub(crate) const fn words(levels: u32) -> usize {
        FIRST * ((1 << levels) - 1) * WORDS
    }

    /// A table in zeroed memory, with as many levels as fit.
    pub(crate) fn new(slots: &'static [AtomicU64]) -> Self {
        SampledBlocks::with_first(slots, FIRST)
    }

    /// The same with another number of slots in the first level.
    pub(crate) fn with_first(slots: &'static [AtomicU64], first: usize) -> Self {
        SampledBlocks {
            slots,
            first,
            levels: AtomicUsize::new(0),
        }
    }

    /// The slots of an address in a level; `None` beyond the last level.
    fn window(&self, level: usize, address: u64) -> Option<impl Iterator<Item = &[AtomicU64]>> {
        let begin = self.first * ((1 << level) - 1);
        let count = self.first << level;
        let slots = self.slots.get(begin * WORDS..(begin + count) * WORDS)?;
        let hash = (address >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let window = (0..WINDOW.min(count)).map(move |at| {
            let slot = (hash as usize + at) % count * WORDS;
            &slots[slot..slot + WORDS]
        });
        Some(window)
    }

    /// Adds a block. Returns whether there was room.
    pub(crate) fn insert(&self, address: usize, block: Block) -> bool {
        let address = address as u64 & ADDRESS;
        for level in 0.. {
            let Some(window) = self.window(level, address) else {
                return false;
            };
            for slot in window {
                let key = slot[0].load(Ordering::Relaxed);
                if key & ADDRESS != 0 {
                    continue;
                }
                let number = (key & !ADDRESS).wrapping_add(NUMBER);
                // Acquire: pairs with the Release in `take`. The words of the previous block are not read any more.
                let free = slot[0].compare_exchange(
                    key,
                    number | WRITTEN,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if free.is_err() {
                    continue;
                }
                // Relaxed: the thread that frees the block got its address from this one, so it sees the level.
                self.levels.fetch_max(level + 1, Ordering::Relaxed);
                // Release: a reader that sees one of the words below sees that the key has changed.
                crate::primitive::fence(Ordering::Release);
                let site = u64::from(block.site) << 32 | u64::from(block.born);
                slot[1].store(site, Ordering::Relaxed);
                slot[2].store(block.task.into(), Ordering::Relaxed);
                // Release: a reader that sees the key sees the words.
                slot[0].store(number | address, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Removes a block that is about to be freed, and returns it if it was sampled.
    pub(crate) fn take(&self, address: usize) -> Option<Block> {
        let address = address as u64 & ADDRESS;
        for level in 0..self.levels.load(Ordering::Relaxed) {
            for slot in self.window(level, address)? {
                let key = slot[0].load(Ordering::Acquire);
                if key & ADDRESS != address {
                    continue;
                }
                let block = block(slot);
                // No other thread owns the block. Release: pairs with the Acquire in `insert`.
                slot[0].store(key & !ADDRESS, Ordering::Release);
                return Some(block);
            }
        }
        None
    }

    /// The live blocks. A block that is allocated or freed meanwhile may be missing or included.
    pub(crate) fn alive(&self) -> impl Iterator<Item = Block> {
        let used = self.first * ((1 << self.levels.load(Ordering::Relaxed)) - 1) * WORDS;
        self.slots[..used].chunks_exact(WORDS).filter_map(|slot| {
            let key = slot[0].load(Ordering::Acquire);
            if matches!(key & ADDRESS, 0 | WRITTEN) {
                return None;
            }
            let block = block(slot);
            // Acquire: pairs with the fence in `insert`.
            crate::primitive::fence(Ordering::Acquire);
            (slot[0].load(Ordering::Relaxed) == key).then_some(block)
        })
    }
}

fn block(slot: &[AtomicU64]) -> Block {
    let site = slot[1].load(Ordering::Relaxed);
    Block {
        site: (site >> 32) as u32,
        born: site as u32,
        task: slot[2].load(Ordering::Relaxed) as u32,
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::atomic::AtomicBool;

    fn table(first: usize, levels: u32) -> SampledBlocks {
        let words = first * ((1 << levels) - 1) * WORDS;
        let zeros = (0..words).map(|_| AtomicU64::new(0)).collect();
        SampledBlocks::with_first(Vec::leak(zeros), first)
    }

    fn numbered(number: u32) -> Block {
        Block {
            site: number,
            born: number,
            task: number,
        }
    }

    fn sites(table: &SampledBlocks) -> Vec<u32> {
        let mut sites: Vec<u32> = table.alive().map(|block| block.site).collect();
        sites.sort_unstable();
        sites
    }

    proptest::proptest! {
        /// The table behaves as a map from addresses to blocks.
        #[test]
        fn a_block_is_found_by_its_address(
            calls in proptest::collection::vec((1usize..60, 0u32..1000), 0..400)
        ) {
            let table = table(4, 6);
            let mut model: HashMap<usize, Block> = HashMap::new();
            for (place, number) in calls {
                let address = place * 16;
                proptest::prop_assert_eq!(table.take(address), model.remove(&address));
                if number % 3 != 0 {
                    proptest::prop_assert!(table.insert(address, numbered(number)));
                    model.insert(address, numbered(number));
                }
                let mut alive: Vec<u32> = model.values().map(|block| block.site).collect();
                alive.sort_unstable();
                proptest::prop_assert_eq!(sites(&table), alive);
            }
        }
    }

    #[test]
    fn a_full_table_refuses_and_has_room_again() {
        let table = table(4, 2);
        let kept: Vec<usize> = (1..100)
            .filter(|at| table.insert(at << 4, numbered(*at as u32)))
            .collect();
        assert_eq!(
            kept.len(),
            12,
            "every slot is in the window of a small level"
        );
        assert_eq!(table.take(kept[3] << 4), Some(numbered(kept[3] as u32)));
        assert!(table.insert(1000 << 4, numbered(7)));
        assert!(!table.insert(1001 << 4, numbered(8)));
    }

    /// The touched memory for each block, when a level has just begun and when it is full.
    #[test]
    fn a_block_takes_at_most_sixty_four_bytes() {
        let table = table(FIRST, 8);
        let pages = || {
            let pages = table.slots.chunks(4096 / size_of::<AtomicU64>());
            let touched =
                |page: &&[AtomicU64]| page.iter().any(|word| word.load(Ordering::Relaxed) != 0);
            pages.filter(touched).count() * 4096
        };
        for at in 1..=100_000usize {
            assert!(table.insert(at * 1040, numbered(at as u32)));
            if at >= 2000 && at % 500 == 0 {
                assert!(
                    pages() <= at * 64 + 4096,
                    "{at}: {} bytes each",
                    pages() / at
                );
            }
        }
    }

    /// Whenever a block is read, all its words are its number.
    #[test]
    fn a_reader_never_mixes_two_blocks() {
        let table = table(4, 3);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..3usize {
                let (table, over) = (&table, &over);
                scope.spawn(move || {
                    let mut number = 0;
                    while !over.load(Ordering::Relaxed) {
                        let address = (thread * 4 + number as usize % 4 + 1) * 64;
                        number += 1;
                        if table.insert(address, numbered(number)) {
                            assert_eq!(table.take(address), Some(numbered(number)));
                        }
                    }
                });
            }
            let mut seen = 0;
            while seen < 20_000 {
                for block in table.alive() {
                    assert_eq!(block, numbered(block.site));
                    seen += 1;
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(sites(&table).is_empty());
    }
}
