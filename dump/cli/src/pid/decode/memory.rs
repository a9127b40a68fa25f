//! Numbers from memory, within a bound of bytes.

use std::cell::Cell;

/// Memory of a process, whatever it is.
pub(crate) trait Memory {
    /// Fills `into` with what is at `address`. False: it is not there, and `into` may have changed.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
}

/// Reads until a number of bytes is used up.
pub(super) struct Reader<'m> {
    memory: &'m dyn Memory,
    bytes_left: Cell<u64>,
}

impl<'m> Reader<'m> {
    pub(super) fn new(memory: &'m dyn Memory, bytes: u64) -> Self {
        Self {
            memory,
            bytes_left: Cell::new(bytes),
        }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.bytes_left.get() == 0
    }

    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        match self.bytes_left.get().checked_sub(into.len() as u64) {
            Some(left) => {
                self.bytes_left.set(left);
                address != 0 && self.memory.read(address, into)
            }
            None => {
                self.bytes_left.set(0);
                false
            }
        }
    }

    /// Eight bytes.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)
            .then(|| u64::from_le_bytes(bytes))
    }

    /// A number of up to 16 bytes.
    pub(super) fn number(&self, address: u64, size: u64) -> Option<u128> {
        let mut bytes = [0; 16];
        let some = bytes.get_mut(..usize::try_from(size).ok()?)?;
        self.read(address, some).then(|| u128::from_le_bytes(bytes))
    }

    /// A text of at most `most` bytes.
    pub(super) fn text(&self, address: u64, length: u64, most: usize) -> Option<String> {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= most)?;
        let mut bytes = vec![0; length];
        self.read(address, &mut bytes).then_some(())?;
        String::from_utf8(bytes).ok()
    }
}
