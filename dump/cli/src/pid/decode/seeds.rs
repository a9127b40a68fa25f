//! Schedulers that no thread is inside of, by the tasks in memory.
//!
//! Memory that looks like a task may be freed, or a copy from before the task was moved to where it lives. So what is found
//! only proposes a scheduler, whose lists decide: they must be of one piece, and of the length that it counts.

use super::memory::{Memory, Reader};
use super::{Budget, Decoder};
use crate::pid::debug::index::Die;
use std::collections::HashMap;
use std::ops::Range;

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 18;

/// The most schedulers that are proposed.
const MOST_SEEDS: usize = 4096;

/// A scheduler, and its type.
pub(crate) type Seed = (u64, Die);

impl Decoder<'_, '_, '_> {
    /// Looks for words that are the vtable of a task: of those in `constants`, in `data`.
    pub(crate) fn seeds(
        &mut self,
        memory: &dyn Memory,
        bias: u64,
        constants: &[Range<u64>],
        data: &[Range<u64>],
    ) -> Vec<Seed> {
        let Some(any) = self.any_layout() else {
            return Vec::new();
        };
        let polls = &self.types.index.polls;
        let mut vtables: HashMap<u64, u64> = HashMap::new();
        each_word(memory, constants, |at, word| {
            let poll = word.wrapping_sub(bias);
            if polls.contains_key(&poll) {
                vtables.insert(at.wrapping_sub(any.poll), poll);
            }
        });
        let (Some(first), Some(last)) = (vtables.keys().min(), vtables.keys().max()) else {
            return Vec::new();
        };
        let possible = *first..=*last;
        let mut found: Vec<(u64, u64)> = Vec::new();
        each_word(memory, data, |at, word| {
            if possible.contains(&word)
                && let Some(poll) = vtables.get(&word)
            {
                found.push((at.wrapping_sub(any.vtable), *poll));
            }
        });
        let reader = Reader::new(memory, Budget::default().bytes);
        let mut seeds: HashMap<u64, Die> = HashMap::new();
        for (header, poll) in found {
            if seeds.len() >= MOST_SEEDS {
                break;
            }
            let poll = self
                .types
                .index
                .polls
                .get(&poll)
                .and_then(|polls| polls.first());
            let Some(layout) = poll.copied().and_then(|poll| self.layout(poll)) else {
                continue;
            };
            let Some((offset, of)) = layout.scheduler else {
                continue;
            };
            if let Some((at, of)) = self.arc(header.wrapping_add(offset), of, &reader) {
                seeds.entry(at).or_insert(of);
            }
        }
        let mut seeds: Vec<Seed> = seeds.into_iter().collect();
        seeds.sort_unstable();
        seeds
    }
}

fn each_word(memory: &dyn Memory, ranges: &[Range<u64>], mut visit: impl FnMut(u64, u64)) {
    let mut chunk = vec![0; CHUNK];
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let some = CHUNK.min(usize::try_from(range.end - at).unwrap_or(CHUNK));
            let bytes = &mut chunk[..some];
            if memory.read(at, bytes) {
                for (number, word) in bytes.chunks_exact(8).enumerate() {
                    let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
                    visit(at + 8 * number as u64, word);
                }
            }
            at += some as u64;
        }
    }
}
