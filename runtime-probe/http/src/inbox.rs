//! Received bytes, read before a deadline.
//!
//! The deadline is a point in time, not a time-out of a read, so a client that sends one byte a second does not
//! extend it. The source is a trait, so that tests split bytes at any point, without sockets or clocks.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use super::refusal::Refusal;
use super::socket::Stream;

/// The size of one read. Two reads take a browser's head, and an idle connection keeps little memory.
const READ_BYTES: usize = 4 * 1024;

/// Why no more of a request can be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The client gets a reply with the reason.
    Refused(Refusal),
    /// The deadline has passed.
    Late,
    /// The client is gone.
    Lost,
}

/// A source of bytes.
pub(super) trait Source {
    /// Reads some bytes, 0 at the end; [`ErrorKind::TimedOut`] once the deadline has passed.
    fn read_before(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize>;
}

/// Bytes that were received and not parsed yet. The readers bound their number.
#[derive(Debug)]
pub(super) struct Inbox<S> {
    source: S,
    bytes: Vec<u8>,
    consumed: usize,
}

impl<S: Source> Inbox<S> {
    pub fn new(source: S) -> Self {
        Inbox {
            source,
            bytes: Vec::new(),
            consumed: 0,
        }
    }

    /// The received bytes.
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.consumed..).unwrap_or_default()
    }

    /// Removes bytes from the front.
    pub fn consume(&mut self, count: usize) {
        self.consumed = self.bytes.len().min(self.consumed.saturating_add(count));
    }

    /// Waits for more bytes: at least one.
    pub fn more(&mut self, deadline: Instant) -> Result<(), ReadError> {
        self.bytes.drain(..self.consumed);
        self.consumed = 0;
        let held = self.bytes.len();
        self.bytes.resize(held + READ_BYTES, 0);
        let outcome = self.source.read_before(&mut self.bytes[held..], deadline);
        let read = outcome.as_ref().map_or(0, |read| *read);
        self.bytes.truncate(held + read);
        match outcome {
            Ok(0) => Err(ReadError::Lost),
            Ok(_) => Ok(()),
            Err(error) if is_timeout(&error) => Err(ReadError::Late),
            Err(_) => Err(ReadError::Lost),
        }
    }
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        ReadError::Refused(refusal)
    }
}

impl Source for &Stream {
    fn read_before(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            // A time-out of 0 would mean no time-out.
            self.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.read(buffer) {
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

/// Sockets report a time-out as either, depending on the system.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}
