//! Schedulers without a thread inside, found by the tasks in memory.
//!
//! Memory that looks like a task may be freed, or a copy from before the task was moved to its final address. So such
//! memory only proposes a scheduler. The scheduler counts if its lists are consistent and have as many tasks as it
//! counts.

use super::memory::{Memory, Reader, each_chunk};
use super::{Budget, Decoder};
use crate::debug::index::{Die, Poll};
use crate::numbers::NumberMap;
use std::ops::Range;

/// The most proposed schedulers.
const MOST_SEEDS: usize = 4096;

/// The most tasks whose addresses are kept.
const MOST_TASKS: usize = 1 << 20;

/// The address and type of a scheduler.
pub type Seed = (u64, Die);

/// The results of a search through memory.
#[derive(Debug, Default)]
pub struct Seeds {
    /// The proposed schedulers, in ascending order of their addresses.
    pub schedulers: Vec<Seed>,
    /// The addresses that look like tasks, in ascending order.
    pub tasks: Vec<u64>,
}

impl Decoder<'_, '_, '_> {
    /// Searches `data` for words that point to the vtable of a task. The vtables are found in `constants`.
    pub fn seeds(
        &mut self,
        memory: &dyn Memory,
        bias: u64,
        constants: &[Range<u64>],
        data: &[Range<u64>],
    ) -> Seeds {
        let Some(any) = self.any_layout() else {
            return Seeds::default();
        };
        let mut vtables: NumberMap<u64, Poll> = NumberMap::default();
        let polls = &self.types.index.polls;
        each_chunk(memory, constants, |chunk| {
            for (at, word) in chunk.words() {
                let poll = polls.get(&word.wrapping_sub(bias));
                if let Some(poll) = poll.and_then(|polls| polls.first()) {
                    vtables.insert(at.wrapping_sub(any.poll), *poll);
                }
            }
        });
        let (Some(first), Some(last)) = (vtables.keys().min(), vtables.keys().max()) else {
            return Seeds::default();
        };
        let possible = *first..=*last;
        let mut found = Seeds::default();
        let mut schedulers: NumberMap<u64, Die> = NumberMap::default();
        let reader = Reader::new(memory, Budget::default().bytes);
        each_chunk(memory, data, |chunk| {
            for (at, word) in chunk.words() {
                if !possible.contains(&word) {
                    continue;
                }
                let Some(poll) = vtables.get(&word) else {
                    continue;
                };
                let header = at.wrapping_sub(any.vtable);
                if found.tasks.len() < MOST_TASKS {
                    found.tasks.push(header);
                }
                let scheduler = self.layout(*poll).and_then(|layout| layout.scheduler);
                let Some((offset, of)) = scheduler else {
                    continue;
                };
                let at = header.wrapping_add(offset);
                let Some(pointer) = chunk.word(at).or_else(|| reader.word(at)) else {
                    continue;
                };
                if schedulers.len() < MOST_SEEDS
                    && let Some((at, of)) = self.behind_arc(pointer, of)
                {
                    schedulers.entry(at).or_insert(of);
                }
            }
        });
        found.schedulers = schedulers.into_iter().collect();
        found.schedulers.sort_unstable();
        found
    }
}
