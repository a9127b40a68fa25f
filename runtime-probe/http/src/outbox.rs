//! Sent bytes, at a minimum [pace](super::pace).
//!
//! The time-out of each write is the rest of the pace's time. The kernel takes a part of a chunk at the end of a
//! wait. With the whole time for each write, a client that reads nothing stayed for one more time-out (31 s instead
//! of 26 s).
//! A call sends few bytes: the time of a longer one would be charged, and be counted for an eviction, only when all its
//! bytes are sent. Linux applies the time-out of a unix socket to each buffer of a call, so such a call may take many
//! time-outs.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::{Duration, Instant};

use super::inbox::is_timeout;
use super::pace::{Pace, too_slow};
use super::permits::Permit;
use super::socket::Stream;

/// A write that takes less than this has not waited for the client. Most writes are shorter, and take no lock.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The most bytes of one call. Linux puts them into one buffer of a unix socket (16 KiB and pages of 32 KiB), so the call
/// takes one time-out. At the slowest pace they take 8 s.
const CALL_BYTES: usize = 32 * 1024;

/// The most parts of one call.
const CALL_PARTS: usize = 8;

/// The writing half of a connection. Once a write has failed all later ones fail at once, so that a closure that
/// ignores errors does not wait again.
#[derive(Debug)]
pub(super) struct Outbox<'a> {
    stream: &'a Stream,
    /// Counts the waits for the client.
    permit: &'a Permit,
    pace: Pace,
    /// The current time-out of the socket.
    time_out: Duration,
    failed: bool,
}

impl<'a> Outbox<'a> {
    pub fn new(stream: &'a Stream, permit: &'a Permit, stall: Duration) -> io::Result<Self> {
        stream.set_write_timeout(Some(stall))?;
        Ok(Outbox {
            stream,
            permit,
            pace: Pace::new(stall),
            time_out: stall,
            failed: false,
        })
    }
}

impl Outbox<'_> {
    fn send(&mut self, write: impl FnOnce(&mut &Stream) -> io::Result<usize>) -> io::Result<usize> {
        if self.failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        // A time-out of 0 would mean no time-out.
        let left = self.pace.left().max(Duration::from_millis(1));
        if left != self.time_out {
            self.stream.set_write_timeout(Some(left))?;
            self.time_out = left;
        }
        let before = Instant::now();
        let outcome = write(&mut &*self.stream);
        let waited = before.elapsed();
        if waited >= SHORTEST_WAIT {
            self.permit.count_wait(waited);
        }
        let outcome = match outcome {
            Ok(written) => self.pace.charge(written, waited).map(|()| written),
            Err(error) if is_timeout(&error) => Err(too_slow()),
            // A write that is repeated after each signal must end as well.
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.pace.charge(0, waited).and(Err(error))
            }
            Err(error) => Err(error),
        };
        self.failed = outcome
            .as_ref()
            .is_err_and(|error| error.kind() != ErrorKind::Interrupted);
        outcome
    }
}

impl Write for Outbox<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..CALL_BYTES).unwrap_or(bytes);
        self.send(|stream| stream.write(bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut call = [IoSlice::new(b""); CALL_PARTS];
        let mut room = CALL_BYTES;
        for (slot, part) in call.iter_mut().zip(parts) {
            let part: &[u8] = part.get(..room).unwrap_or(part);
            *slot = IoSlice::new(part);
            room -= part.len();
        }
        self.send(|stream| stream.write_vectored(&call))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;
    use crate::permits::Permits;

    const STALL: Duration = Duration::from_millis(20);

    #[test]
    fn signals_do_not_extend_the_wait_for_a_client() {
        let (own, _client) = UnixStream::pair().unwrap();
        let stream = Arc::new(Stream::Unix(own));
        let (tell, told) = mpsc::channel();
        let writer = Arc::clone(&stream);
        let run = move |permit: &Permit| {
            let mut outbox = Outbox::new(&writer, permit, STALL).unwrap();
            let mut interrupted = || {
                let outcome = outbox.send(|_| {
                    thread::sleep(STALL / 4);
                    Err(ErrorKind::Interrupted.into())
                });
                outcome.unwrap_err().kind()
            };
            let kinds: Vec<_> = (0..6).map(|_| interrupted()).collect();
            tell.send(kinds).unwrap();
        };
        Permits::new(1, STALL).admit(&stream, run).unwrap();
        let kinds = told.recv().unwrap();
        let interruptions = kinds
            .iter()
            .take_while(|kind| **kind == ErrorKind::Interrupted);
        let interruptions = interruptions.count();
        // Fewer on a busy machine. Four take the whole time.
        assert!(interruptions <= 4, "{kinds:?}");
        assert_eq!(kinds[interruptions], ErrorKind::TimedOut);
        assert_eq!(kinds[5], ErrorKind::BrokenPipe, "it stays failed");
    }
}
