//! How far a client may fall behind: one rule for the server and for other carriers of replies.
//!
//! The time-out of a socket bounds one write, so a client that reads one byte every nine seconds never meets it.
//! Therefore a leaky bucket: the time spent waiting adds to the delay of a client, and bytes that it reads reduce the
//! delay at [`MIN_BYTES_PER_SECOND`]. A bound on the whole reply was rejected: a trace may stream for as long as the
//! client asked for.

use super::limits::MIN_BYTES_PER_SECOND;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The delay of a client. It never goes below zero: bytes that were read early do not count later.
#[derive(Debug)]
pub struct Pace {
    stall: Duration,
    behind: Duration,
}

impl Pace {
    /// The pace of a client whose delay may be up to `stall`.
    pub fn new(stall: Duration) -> Pace {
        Pace {
            stall,
            behind: Duration::ZERO,
        }
    }

    /// How much longer to wait for the client if it reads nothing.
    pub fn left(&self) -> Duration {
        self.stall.saturating_sub(self.behind)
    }

    /// Adds a wait, and the bytes that the client took after it.
    ///
    /// # Errors
    /// [`too_slow`], if the delay of the client is above the limit.
    pub fn charge(&mut self, taken: usize, waited: Duration) -> io::Result<()> {
        let caught_up = Duration::from_secs_f64(taken as f64 / f64::from(MIN_BYTES_PER_SECOND));
        self.behind = self.behind.saturating_add(waited).saturating_sub(caught_up);
        if self.behind > self.stall {
            Err(too_slow())
        } else {
            Ok(())
        }
    }
}

/// The error that ends the reply of a client whose delay is above the limit.
pub fn too_slow() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the client reads too slowly")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of such writes before a client is dropped, up to a thousand.
    fn writes(bytes: usize, waited: Duration) -> usize {
        let mut pace = Pace::new(Duration::from_secs(10));
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
        let mut pace = Pace::new(Duration::from_secs(10));
        assert_eq!(pace.left(), Duration::from_secs(10));
        let taken = 2 * MIN_BYTES_PER_SECOND as usize;
        pace.charge(taken, Duration::from_secs(10)).unwrap();
        assert_eq!(pace.left(), Duration::from_secs(2));
        pace.charge(0, Duration::from_secs(2)).unwrap();
        assert_eq!(pace.left(), Duration::ZERO);
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
