//! The table of workloads, by their names in `contestants/workload`.

use std::time::Duration;

use crate::budget::Budget;

/// A workload that each contestant runs for one value.
pub struct Workload {
    pub name: &'static str,
    /// The unit of the value.
    pub metric: Metric,
    /// Operations of one run, a few tenths of a second with bare tokio; a slow contestant runs fewer.
    ops: u64,
    /// The CPUs of the run.
    pub placement: Placement,
    /// The limit for the probe.
    pub budget: Option<Budget>,
    /// Whether the Go contestant knows it.
    pub in_go: bool,
    /// Whether a program of bare tokio has the clients of this workload's server.
    pub bare_clients: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Metric {
    /// `ns_per_op`
    NsPerOp,
    /// `ns_per_op` of the contestant, shown as requests a second: more is better.
    PerSecond,
    /// `bytes_per_task`
    BytesPerTask,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Placement {
    /// One thread: pinned to one CPU, so that the scheduler does not move it.
    OneCpu,
    /// Several threads: left to the scheduler.
    AllCpus,
}

/// About the longest run. A contestant that takes a hundred times as long does fewer operations.
const LONGEST_RUN: Duration = Duration::from_secs(1);
const LARGEST_RUN_BYTES: f64 = (1_u64 << 30) as f64;

/// The group of rows about block profile rates, a name for `--only`.
pub const BLOCK_RATE: &str = "block-rate";

/// The group of rows about the flight recorder, a name for `--only`.
pub const FLIGHT_RECORDER: &str = "flight-recorder";

/// The group of rows about CPU profiles, a name for `--only`.
pub const CPU_PROFILE: &str = "cpu-profile";

/// The group of rows about consoles and histograms, a name for `--only`.
pub const CONSOLE: &str = "console";

/// The group of rows about dumps, a name for `--only`.
pub const DUMP: &str = "dump";

/// The rows about dumps of a million tasks, a name for `--only`.
pub const MILLION: &str = "million";

/// The group of rows about allocators and labels, a name for `--only`.
pub const HEAP: &str = "heap";

/// The group of rows about dumps of foreign tasks, a name for `--only`.
pub const DECODE: &str = "decode";

/// The group of rows about recorders of traces, a name for `--only`.
pub const RECORDERS: &str = "recorders";

/// Those that recorders are compared with, and among.
pub const RECORDED_CONTESTANTS: [&str; 3] = ["bare", "dial9", "probe"];

/// The group of rows about spans in traces, a name for `--only`.
pub const SPANS: &str = "spans";

/// The row about dependencies, a name for `--only`.
pub const CRATES: &str = "crates";

/// Every workload, in the order of the report.
pub const WORKLOADS: &[Workload] = &[
    Workload::one_cpu("poll", 5_000_000, Some(Budget::POLL)),
    Workload::one_cpu("poll-yield", 5_000_000, Some(Budget::POLL)),
    Workload::one_cpu("wake", 20_000_000, None),
    Workload::one_cpu("clone", 20_000_000, None),
    Workload::one_cpu("spawn", 500_000, Some(Budget::SPAWN)),
    Workload::one_cpu("spawn-batch", 500_000, Some(Budget::SPAWN)),
    Workload {
        in_go: true,
        ..Workload::one_cpu("pingpong", 500_000, Some(Budget::PING_PONG))
    },
    Workload {
        placement: Placement::AllCpus,
        in_go: true,
        ..Workload::one_cpu("pingpong-mt", 300_000, Some(Budget::PING_PONG))
    },
    Workload {
        in_go: true,
        ..Workload::one_cpu("mutex", 500_000, None)
    },
    Workload::one_cpu("lock", 10_000_000, None),
    Workload::one_cpu("lock-thread", 50_000_000, None),
    Workload {
        metric: Metric::PerSecond,
        placement: Placement::AllCpus,
        ..Workload::one_cpu("echo", 100_000, Some(Budget::ECHO))
    },
    Workload {
        metric: Metric::PerSecond,
        placement: Placement::AllCpus,
        bare_clients: true,
        ..Workload::one_cpu("echo-server", 100_000, None)
    },
    Workload {
        metric: Metric::BytesPerTask,
        ..Workload::one_cpu("memory", 100_000, Some(Budget::MEMORY))
    },
];

impl Workload {
    pub const fn one_cpu(name: &'static str, ops: u64, budget: Option<Budget>) -> Self {
        Self {
            name,
            metric: Metric::NsPerOp,
            ops,
            placement: Placement::OneCpu,
            budget,
            in_go: false,
            bare_clients: false,
        }
    }

    /// Operations of one run.
    pub fn ops(&self, quick: bool) -> u64 {
        match self.metric {
            // A table that grows by doubling is half empty at other counts, so memory is measured at this count only.
            Metric::BytesPerTask => self.ops,
            _ if quick => self.ops / 10,
            _ => self.ops,
        }
    }
}

impl Metric {
    /// The name in the contestant's answer.
    pub fn key(self) -> &'static str {
        match self {
            Self::NsPerOp | Self::PerSecond => "ns_per_op",
            Self::BytesPerTask => "bytes_per_task",
        }
    }

    /// The value that the report shows, from the contestant's answer.
    pub fn value(self, answer: f64) -> f64 {
        match self {
            Self::NsPerOp | Self::BytesPerTask => answer,
            Self::PerSecond => 1e9 / answer,
        }
    }

    /// How many operations of this value, as the report shows it, fit into a run.
    pub fn fitting(self, value: f64) -> u64 {
        let fitting = match self {
            Self::NsPerOp => LONGEST_RUN.as_nanos() as f64 / value,
            Self::PerSecond => LONGEST_RUN.as_secs_f64() * value,
            Self::BytesPerTask => LARGEST_RUN_BYTES / value,
        };
        fitting as u64
    }

    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::NsPerOp => format!("{value:.1} ns"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::BytesPerTask => format!("{value:.0} B"),
        }
    }
}

/// Every name that `--only` takes.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORKLOADS.iter().map(|workload| workload.name).chain([
        BLOCK_RATE,
        FLIGHT_RECORDER,
        CPU_PROFILE,
        CONSOLE,
        DUMP,
        MILLION,
        DECODE,
        HEAP,
        RECORDERS,
        SPANS,
        CRATES,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_what_fits_lasts_a_second() {
        assert_eq!(Metric::NsPerOp.fitting(100_000.0), 10_000);
        assert_eq!(Metric::PerSecond.fitting(40_000.0), 40_000);
        assert_eq!(Metric::BytesPerTask.fitting(65_536.0), 16_384);
    }
}
