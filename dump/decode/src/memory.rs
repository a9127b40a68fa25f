//! Typed reads of memory, within a bound of bytes.

use std::cell::Cell;
use std::ops::Range;

/// The number of bytes that are read at a time.
const CHUNK: usize = 1 << 18;

/// The bytes of a word.
const WORD: u64 = 8;

/// The memory of a process, of any kind.
pub trait Memory {
    /// Fills `into` with the bytes at `address`. Returns false if they are not there; `into` may have changed then.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;

    /// The word at `address`. Most reads are of words.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; WORD as usize];
        self.read(address, &mut bytes)
            .then(|| u64::from_le_bytes(bytes))
    }
}

/// A part of memory.
pub struct Chunk<'b> {
    start: u64,
    bytes: &'b [u8],
}

impl Chunk<'_> {
    /// The words of the chunk, with their addresses.
    pub fn words(&self) -> impl Iterator<Item = (u64, u64)> {
        let words = self.bytes.chunks_exact(8).enumerate();
        words.map(|(number, word)| {
            let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
            (self.start + 8 * number as u64, word)
        })
    }

    /// The word at an address; `None` if it is not in this chunk.
    pub fn word(&self, address: u64) -> Option<u64> {
        let from = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(from..from.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
    }
}

/// Passes the contents of these ranges, a chunk at a time.
pub fn each_chunk(memory: &dyn Memory, ranges: &[Range<u64>], mut visit: impl FnMut(&Chunk<'_>)) {
    let mut buffer = vec![0; CHUNK];
    for range in ranges {
        let mut start = range.start;
        while start < range.end {
            let some = CHUNK.min(usize::try_from(range.end - start).unwrap_or(CHUNK));
            let bytes = &mut buffer[..some];
            if memory.read(start, bytes) {
                visit(&Chunk { start, bytes });
            }
            start += some as u64;
        }
    }
}

/// Reads memory until a number of bytes is used up.
pub(crate) struct Reader<'m> {
    memory: &'m dyn Memory,
    bytes_left: Cell<u64>,
}

impl<'m> Reader<'m> {
    pub(crate) fn new(memory: &'m dyn Memory, bytes: u64) -> Self {
        Self {
            memory,
            bytes_left: Cell::new(bytes),
        }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.bytes_left.get() == 0
    }

    /// Uses up so many bytes. Returns false if fewer are left.
    fn take(&self, bytes: u64) -> bool {
        let left = self.bytes_left.get().checked_sub(bytes);
        self.bytes_left.set(left.unwrap_or(0));
        left.is_some()
    }

    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.take(into.len() as u64) && address != 0 && self.memory.read(address, into)
    }

    /// Reads eight bytes.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        (self.take(WORD) && address != 0).then_some(())?;
        self.memory.word(address)
    }

    /// Reads a number of up to eight bytes.
    #[inline]
    pub(crate) fn small(&self, address: u64, size: u64) -> Option<u64> {
        let within = address % WORD;
        // The memory may end within the word.
        if address != 0
            && (1..=WORD - within).contains(&size)
            && let Some(word) = self.memory.word(address - within)
        {
            let unused = 8 * (WORD - size);
            return self
                .take(size)
                .then_some(word >> (8 * within) << unused >> unused);
        }
        u64::try_from(self.bytes(address, size)?).ok()
    }

    /// Reads a number of up to 16 bytes.
    pub(crate) fn number(&self, address: u64, size: u64) -> Option<u128> {
        match size {
            1..=WORD => self.small(address, size).map(u128::from),
            _ => self.bytes(address, size),
        }
    }

    fn bytes(&self, address: u64, size: u64) -> Option<u128> {
        let mut bytes = [0; 16];
        let some = bytes.get_mut(..usize::try_from(size).ok()?)?;
        self.read(address, some).then(|| u128::from_le_bytes(bytes))
    }

    /// Reads a text of at most `most` bytes.
    pub(crate) fn text(&self, address: u64, length: u64, most: usize) -> Option<String> {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= most)?;
        let mut bytes = vec![0; length];
        self.read(address, &mut bytes).then_some(())?;
        String::from_utf8(bytes).ok()
    }
}
