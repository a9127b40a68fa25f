//! The probe's budgets. Where possible they are limits that hold on every machine (a ratio, a difference to bare);
//! the others are times of a machine with two cores.

use std::fmt;
use std::time::Duration;

/// The limit of a workload, against bare tokio in the same round.
#[derive(Clone, Copy)]
pub enum Budget {
    /// At most this much more, in the metric's unit.
    Added(f64),
    /// At most this many times as much.
    AtMostTimes(f64),
    /// At least this many times as much.
    AtLeastTimes(f64),
    /// At most this part of what dial9 adds or takes in the same rounds.
    PartOfDial9(f64),
}

/// The values that a budget is checked against: medians of each round's ratio or difference to bare tokio.
#[derive(Clone, Copy)]
pub struct Measured {
    pub ratio: f64,
    pub added: f64,
    /// The difference that dial9 adds.
    pub dial9_added: Option<f64>,
}

/// The limits of one dump.
#[derive(Clone, Copy)]
pub struct DumpBudget {
    pub time: DumpTime,
    /// How much greater the delay of a 1 ms ticker in the dumped process may be than without a dump, with busy CPUs
    /// or idle ones.
    pub stall: Option<Duration>,
    /// The peak of anonymous memory above the memory before.
    pub peak_bytes: Option<u64>,
}

#[derive(Clone, Copy)]
pub enum DumpTime {
    /// At most this part of the time of Go's dump of as many goroutines in the same run.
    PartOfGo(f64),
    /// A time limit, for dumps that Go does not take.
    Within(Duration),
}

/// The values of one form of dump that a budget is checked against.
#[derive(Clone, Copy)]
pub struct MeasuredDump {
    pub time: Duration,
    /// The time of Go's dump of the same form and as many goroutines.
    pub go_time: Option<Duration>,
    /// How much greater the delay of the ticker was than without a dump.
    pub added_stall: Duration,
    pub peak_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Within,
    Over,
    /// There is a budget, but no measurement.
    NotMeasured,
}

impl Budget {
    pub const POLL: Self = Self::PartOfDial9(0.15);
    pub const SPAWN: Self = Self::PartOfDial9(0.3);
    pub const PING_PONG: Self = Self::PartOfDial9(0.2);
    pub const ECHO: Self = Self::PartOfDial9(0.5);
    /// Instructions, against bare tokio.
    pub const POLL_INSTRUCTIONS: Self = Self::AtMostTimes(1.38);
    pub const SPAWN_INSTRUCTIONS: Self = Self::AtMostTimes(1.2);
    pub const PING_PONG_INSTRUCTIONS: Self = Self::AtMostTimes(1.16);
    /// With a block profile rate against the rate off: waits of 1 ms, of 10 us, and every wait are counted.
    pub const BLOCK_RATE_1_000_000: Self = Self::AtMostTimes(1.2);
    pub const BLOCK_RATE_10_000: Self = Self::AtMostTimes(1.2);
    pub const BLOCK_RATE_1: Self = Self::AtMostTimes(1.3);
    /// With a flight recorder against none: 1.02 to 1.04 were measured, where a reading of the counter takes 9 ns.
    pub const FLIGHT_RECORDER: Self = Self::AtMostTimes(1.15);
    /// With a flight recorder against bare tokio.
    pub const RECORDED: Self = Self::PartOfDial9(0.25);
    /// With a CPU profile of 100 Hz against none: a fiftieth at most.
    pub const CPU_PROFILE_PER_SECOND: Self = Self::AtLeastTimes(0.98);
    pub const CPU_PROFILE_PER_OP: Self = Self::AtMostTimes(1.02);
    /// The probe's allocator at its default rate against the one inside: 64 bytes, and a program that does more work.
    pub const MALLOC: Self = Self::AtMostTimes(1.05);
    pub const ALLOCATING: Self = Self::AtMostTimes(1.02);
    /// Nanoseconds for a sample with its stack, and for a poll with labels.
    pub const SAMPLE: Self = Self::Added(2_000.0);
    pub const LABEL: Self = Self::Added(20.0);
    /// A dump of foreign tasks with their stacks against one without.
    pub const DECODED_DUMP: Self = Self::AtMostTimes(2.0);
    /// Bytes for each waiting task.
    pub const MEMORY: Self = Self::Added(160.0);
    /// Crates in a user's build.
    pub const CRATES: Self = Self::Added(40.0);

    pub fn judge(self, measured: Measured) -> Verdict {
        let Measured { ratio, added, .. } = measured;
        Verdict::of(match self {
            Self::Added(limit) => added <= limit,
            Self::AtMostTimes(limit) => ratio <= limit,
            Self::AtLeastTimes(limit) => ratio >= limit,
            Self::PartOfDial9(limit) => match measured.dial9_added {
                // Both lower the number of requests a second.
                Some(dial9) if dial9 < 0.0 => added >= limit * dial9,
                Some(dial9) => added <= limit * dial9,
                None => return Verdict::NotMeasured,
            },
        })
    }
}

impl DumpBudget {
    /// The budget of `goroutine?debug=N` for so many tasks, if there is one.
    pub fn of(tasks: u64, debug: u8) -> Option<Self> {
        let stall = Some(Duration::from_millis(3));
        match (tasks, debug) {
            (100_000, 2) => Some(Self {
                time: DumpTime::PartOfGo(0.14),
                stall,
                peak_bytes: None,
            }),
            (100_000, 0) => Some(Self {
                time: DumpTime::PartOfGo(0.33),
                stall: None,
                peak_bytes: None,
            }),
            (1_000_000, 2) => Some(Self {
                time: DumpTime::Within(Duration::from_secs(2)),
                stall,
                peak_bytes: Some(64 << 20),
            }),
            _ => None,
        }
    }

    pub fn judge(self, measured: MeasuredDump) -> Verdict {
        let time_limit = match (self.time, measured.go_time) {
            (DumpTime::Within(limit), _) => limit,
            (DumpTime::PartOfGo(part), Some(go)) => go.mul_f64(part),
            (DumpTime::PartOfGo(_), None) => return Verdict::NotMeasured,
        };
        Verdict::of(
            measured.time <= time_limit
                && self.stall.is_none_or(|limit| measured.added_stall <= limit)
                && self
                    .peak_bytes
                    .is_none_or(|limit| measured.peak_bytes <= limit),
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
            Self::PartOfDial9(limit) => write!(f, "<= {:.0} % of dial9's", limit * 100.0),
        }
    }
}

impl fmt::Display for DumpBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            DumpTime::PartOfGo(part) => write!(f, "<= {:.0} % of go's", part * 100.0)?,
            DumpTime::Within(limit) => write!(f, "<= {} ms", limit.as_millis())?,
        }
        if let Some(stall) = self.stall {
            write!(f, ", stall <= +{} ms", stall.as_millis())?;
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

    fn measured(ratio: f64, added: f64, dial9_added: Option<f64>) -> Measured {
        Measured {
            ratio,
            added,
            dial9_added,
        }
    }

    #[test]
    fn a_limit_itself_is_within() {
        let judge = |budget: Budget, ratio, added| budget.judge(measured(ratio, added, None));
        assert_eq!(judge(Budget::MEMORY, 9.9, 160.0), Verdict::Within);
        assert_eq!(judge(Budget::MEMORY, 1.0, 160.1), Verdict::Over);
        assert_eq!(judge(Budget::BLOCK_RATE_1, 1.3, 1000.0), Verdict::Within);
        assert_eq!(judge(Budget::BLOCK_RATE_1, 1.31, 0.0), Verdict::Over);
        let profile = Budget::CPU_PROFILE_PER_SECOND;
        assert_eq!(judge(profile, 0.98, 0.0), Verdict::Within);
        assert_eq!(judge(profile, 0.97, 0.0), Verdict::Over);
    }

    #[test]
    fn a_part_of_what_dial9_adds_or_takes() {
        let half = Budget::PartOfDial9(0.5);
        let judge = |added, dial9| half.judge(measured(1.0, added, dial9));
        assert_eq!(judge(50.0, Some(100.0)), Verdict::Within);
        assert_eq!(judge(50.1, Some(100.0)), Verdict::Over);
        assert_eq!(judge(-50.0, Some(-100.0)), Verdict::Within);
        assert_eq!(judge(-50.1, Some(-100.0)), Verdict::Over);
        assert_eq!(judge(0.0, None), Verdict::NotMeasured);
    }

    #[test]
    fn a_dump_is_judged_by_all_its_limits() {
        let budget = DumpBudget::of(1_000_000, 2).unwrap();
        let good = MeasuredDump {
            time: Duration::from_secs(2),
            go_time: None,
            added_stall: Duration::from_millis(3),
            peak_bytes: 64 << 20,
        };
        assert_eq!(budget.judge(good), Verdict::Within);
        let bad = [
            MeasuredDump {
                time: Duration::from_millis(2001),
                ..good
            },
            MeasuredDump {
                added_stall: Duration::from_millis(4),
                ..good
            },
            MeasuredDump {
                peak_bytes: (64 << 20) + 1,
                ..good
            },
        ];
        assert_eq!(bad.map(|bad| budget.judge(bad)), [Verdict::Over; 3]);
    }

    #[test]
    fn a_dump_is_judged_by_what_go_takes() {
        let budget = DumpBudget::of(100_000, 2).unwrap();
        let judge = |millis, go_time| {
            budget.judge(MeasuredDump {
                time: Duration::from_millis(millis),
                go_time,
                added_stall: Duration::ZERO,
                peak_bytes: 0,
            })
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(judge(140, second), Verdict::Within);
        assert_eq!(judge(141, second), Verdict::Over);
        assert_eq!(judge(1, None), Verdict::NotMeasured);
    }
}
