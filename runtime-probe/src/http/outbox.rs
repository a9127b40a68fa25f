//! Bytes out, at a minimum pace.
//!
//! The time-out of a socket bounds one write; a client that reads a byte every nine seconds passes it for ever. So the
//! time spent in writes is counted, and what was taken pays for it at a minimum rate. The time-out of each write is what is
//! left of that: the system takes a part of a chunk at the end of a wait, and with the whole time for each write a client that
//! reads nothing was seen to stay for one more (31 s instead of 26). A bound on the whole reply was
//! rejected: a trace may stream for as long as it was asked to.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use super::inbox::is_timeout;
use super::limits::MIN_BYTES_PER_SECOND;
use super::permits::Permit;
use super::socket::Stream;

/// What a write takes that does not wait for the client, and more: most writes are not worth a lock.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The writing half of a connection. Once a write has failed all later ones fail at once, so that a closure that
/// ignores errors does not wait again.
#[derive(Debug)]
pub(super) struct Outbox<'a> {
    stream: &'a Stream,
    /// Is told what is waited for.
    permit: &'a Permit,
    pace: Pace,
    /// The time-out that the socket has.
    time_out: Duration,
    failed: bool,
}

impl<'a> Outbox<'a> {
    pub fn new(stream: &'a Stream, permit: &'a Permit, stall: Duration) -> io::Result<Self> {
        stream.set_write_timeout(Some(stall))?;
        Ok(Outbox {
            stream,
            permit,
            pace: Pace {
                stall,
                behind: Duration::ZERO,
            },
            time_out: stall,
            failed: false,
        })
    }
}

impl Write for Outbox<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let left = self.pace.left();
        if left != self.time_out {
            self.stream.set_write_timeout(Some(left))?;
            self.time_out = left;
        }
        let before = Instant::now();
        let outcome = (&mut &*self.stream).write(bytes);
        let waited = before.elapsed();
        if waited >= SHORTEST_WAIT {
            self.permit.count_wait(waited);
        }
        let outcome = match outcome {
            Ok(written) => self.pace.charge(written, waited).map(|()| written),
            Err(error) if is_timeout(&error) => Err(stalled()),
            Err(error) => Err(error),
        };
        self.failed = outcome
            .as_ref()
            .is_err_and(|error| error.kind() != ErrorKind::Interrupted);
        outcome
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How far the client is behind the pace: it falls back by what it lets us wait, and catches up by the bytes that it takes. Bytes
/// are no credit for later.
#[derive(Debug)]
struct Pace {
    stall: Duration,
    behind: Duration,
}

impl Pace {
    /// How long the next write may wait. A time-out of 0 would mean none.
    fn left(&self) -> Duration {
        self.stall
            .saturating_sub(self.behind)
            .max(Duration::from_millis(1))
    }

    fn charge(&mut self, written: usize, waited: Duration) -> io::Result<()> {
        let caught_up = Duration::from_secs_f64(written as f64 / f64::from(MIN_BYTES_PER_SECOND));
        self.behind = self.behind.saturating_add(waited).saturating_sub(caught_up);
        if self.behind > self.stall {
            Err(stalled())
        } else {
            Ok(())
        }
    }
}

fn stalled() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the client reads too slowly")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a client takes before it is dropped, up to a thousand.
    fn writes(bytes: usize, waited: Duration) -> usize {
        let mut pace = Pace {
            stall: Duration::from_secs(10),
            behind: Duration::ZERO,
        };
        (0..1000)
            .take_while(|_| pace.charge(bytes, waited).is_ok())
            .count()
    }

    #[test]
    fn a_dribble_is_dropped_soon_and_a_slow_link_is_not() {
        assert_eq!(writes(1, Duration::from_secs(9)), 1);
        assert_eq!(
            writes(MIN_BYTES_PER_SECOND as usize / 2, Duration::from_secs(1)),
            20
        );
        assert_eq!(
            writes(MIN_BYTES_PER_SECOND as usize, Duration::from_secs(1)),
            1000
        );
        assert_eq!(writes(1, Duration::ZERO), 1000);
    }

    #[test]
    fn a_wait_is_as_long_as_what_is_left_of_the_stall() {
        let mut pace = Pace {
            stall: Duration::from_secs(10),
            behind: Duration::ZERO,
        };
        assert_eq!(pace.left(), Duration::from_secs(10));
        let taken = 2 * MIN_BYTES_PER_SECOND as usize;
        pace.charge(taken, Duration::from_secs(10)).unwrap();
        assert_eq!(pace.left(), Duration::from_secs(2));
        pace.charge(0, Duration::from_secs(2)).unwrap();
        assert_eq!(pace.left(), Duration::from_millis(1));
    }

    #[test]
    fn no_number_makes_it_panic() {
        let mut pace = Pace {
            stall: Duration::MAX,
            behind: Duration::MAX,
        };
        assert!(pace.charge(usize::MAX, Duration::MAX).is_ok());
    }
}
