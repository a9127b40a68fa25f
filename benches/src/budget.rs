//! What the probe may cost: limits that are the same on every machine where they can be (a ratio, a difference to bare),
//! and times of a machine with two cores where they cannot.

use std::fmt;
use std::time::Duration;

/// What a workload may cost, against bare tokio in the same round.
#[derive(Clone, Copy)]
pub enum Budget {
    /// At most this much more, in the metric's unit.
    Added(f64),
    /// At most this many times as much.
    AtMostTimes(f64),
    /// At least this many times as much.
    AtLeastTimes(f64),
}

/// What one dump may cost.
#[derive(Clone, Copy)]
pub struct DumpBudget {
    pub time: Duration,
    /// How late a 1 ms ticker in the dumped process may be.
    pub stall: Option<Duration>,
    /// The peak of anonymous memory above what the process had.
    pub peak_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Within,
    Over,
    /// There is a budget, and nothing to judge by it.
    NotMeasured,
}

impl Budget {
    /// ns a poll.
    pub const POLL: Self = Self::Added(12.0);
    pub const SPAWN: Self = Self::AtMostTimes(1.2);
    pub const PING_PONG: Self = Self::AtMostTimes(1.12);
    pub const ECHO: Self = Self::AtLeastTimes(0.99);
    /// With a block profile rate against the rate off: a wait of 1 ms, of 10 us, every wait is counted.
    pub const BLOCK_RATE_1_000_000: Self = Self::AtMostTimes(1.03);
    pub const BLOCK_RATE_10_000: Self = Self::AtMostTimes(1.05);
    pub const BLOCK_RATE_1: Self = Self::AtMostTimes(1.3);
    /// With a CPU profile of 100 Hz against none: a fiftieth at most.
    pub const CPU_PROFILE_PER_SECOND: Self = Self::AtLeastTimes(0.98);
    pub const CPU_PROFILE_PER_OP: Self = Self::AtMostTimes(1.02);
    /// Bytes a waiting task.
    pub const MEMORY: Self = Self::Added(256.0);
    /// Crates in a user's build.
    pub const CRATES: Self = Self::Added(40.0);

    /// Judges the median ratio and difference.
    pub fn judge(self, ratio: f64, added: f64) -> Verdict {
        Verdict::of(match self {
            Self::Added(limit) => added <= limit,
            Self::AtMostTimes(limit) => ratio <= limit,
            Self::AtLeastTimes(limit) => ratio >= limit,
        })
    }
}

impl DumpBudget {
    /// The budget of `goroutine?debug=N` of so many tasks, where there is one.
    pub fn of(tasks: u64, debug: u8) -> Option<Self> {
        let stall = Some(Duration::from_millis(3));
        match (tasks, debug) {
            (100_000, 2) => Some(Self {
                time: Duration::from_millis(150),
                stall,
                peak_bytes: None,
            }),
            (100_000, 0) => Some(Self {
                time: Duration::from_millis(30),
                stall: None,
                peak_bytes: None,
            }),
            (1_000_000, 2) => Some(Self {
                time: Duration::from_secs(2),
                stall,
                peak_bytes: Some(64 << 20),
            }),
            _ => None,
        }
    }

    pub fn judge(self, time: Duration, stall: Duration, peak_bytes: u64) -> Verdict {
        Verdict::of(
            time <= self.time
                && self.stall.is_none_or(|limit| stall <= limit)
                && self.peak_bytes.is_none_or(|limit| peak_bytes <= limit),
        )
    }
}

impl Verdict {
    fn of(within: bool) -> Self {
        if within { Self::Within } else { Self::Over }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(limit) => write!(f, "<= +{limit}"),
            Self::AtMostTimes(limit) => write!(f, "<= {limit}x"),
            Self::AtLeastTimes(limit) => write!(f, ">= {limit}x"),
        }
    }
}

impl fmt::Display for DumpBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<= {} ms", self.time.as_millis())?;
        if let Some(stall) = self.stall {
            write!(f, ", stall <= {} ms", stall.as_millis())?;
        }
        if let Some(bytes) = self.peak_bytes {
            write!(f, ", peak <= {} MiB", bytes >> 20)?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Within => "ok",
            Self::Over => "OVER",
            Self::NotMeasured => "not measured",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_itself_is_within() {
        assert_eq!(Budget::POLL.judge(9.9, 12.0), Verdict::Within);
        assert_eq!(Budget::POLL.judge(1.0, 12.1), Verdict::Over);
        assert_eq!(Budget::SPAWN.judge(1.2, 1000.0), Verdict::Within);
        assert_eq!(Budget::SPAWN.judge(1.21, 0.0), Verdict::Over);
        assert_eq!(Budget::ECHO.judge(0.99, 0.0), Verdict::Within);
        assert_eq!(Budget::ECHO.judge(0.98, 0.0), Verdict::Over);
    }

    #[test]
    fn a_dump_is_judged_by_all_its_limits() {
        let budget = DumpBudget::of(1_000_000, 2).unwrap();
        let (second, millisecond) = (Duration::from_secs(1), Duration::from_millis(1));
        assert_eq!(budget.judge(second, millisecond, 1 << 20), Verdict::Within);
        assert_eq!(
            budget.judge(3 * second, millisecond, 1 << 20),
            Verdict::Over
        );
        assert_eq!(
            budget.judge(second, 4 * millisecond, 1 << 20),
            Verdict::Over
        );
        assert_eq!(budget.judge(second, millisecond, 65 << 20), Verdict::Over);
    }
}
