//! The way from a place in memory to another one, through pointers.

use super::memory::Reader;

/// Offsets, with a pointer between each offset and the next.
#[derive(Clone, Debug)]
pub(crate) struct Way(Vec<u64>);

impl Way {
    /// To the place at an offset.
    pub(crate) fn here(offset: u64) -> Self {
        Self(vec![offset])
    }

    /// The same from a place that is `offset` bytes lower.
    pub(crate) fn shift(&mut self, offset: u64) {
        self.0[0] += offset;
    }

    /// The same from a place that has a pointer at `offset`.
    pub(crate) fn push_pointer(&mut self, offset: u64) {
        self.0.insert(0, offset);
    }

    /// The address at the end; `None` if a pointer on the way is null or unreadable.
    pub(crate) fn address(&self, at: u64, reader: &Reader<'_>) -> Option<u64> {
        let (last, pointers) = self.0.split_last()?;
        let mut at = at;
        for offset in pointers {
            // An `Option` without a value has a null pointer.
            at = reader
                .word(at.wrapping_add(*offset))
                .filter(|to| *to != 0)?;
        }
        Some(at.wrapping_add(*last))
    }

    /// Whether the first pointer on the way is at `offset`.
    pub(crate) fn begins_at(&self, offset: u64) -> bool {
        self.0.len() > 1 && self.0[0] == offset
    }

    pub(crate) fn pointers(&self) -> usize {
        self.0.len() - 1
    }
}
