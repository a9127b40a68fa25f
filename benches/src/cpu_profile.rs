//! What it costs to sample CPU time: workloads under a CPU profile of 100 Hz, against the same program without.

use crate::Error;
use crate::budget::Budget;
use crate::comparison::{self, Row, Runner};
use crate::contestant::{Contestant, Role};
use crate::options::Options;
use crate::workload::{Metric, WORKLOADS};

/// What the table shows.
pub const EXPLANATION: &str = "\
Workloads while `pprof::start_cpu_profile` samples all threads, 100 times for each second of CPU time; `against off` is to the same program \
without a profile, in the same round. pprof-rs is there for orientation.";

/// A task that computes and waits, tasks on two threads, and a service under load.
const MEASURED: [&str; 3] = ["poll", "pingpong-mt", "echo"];

/// Tells the contestant.
const VARIABLE: &str = "CONTESTANT_CPU_PROFILE";

/// Runs them in turns.
pub fn run(contestants: &[Contestant], options: &Options) -> Result<Vec<Row>, Error> {
    let samples = |contestant: &&Contestant| {
        matches!(contestant.entry.role, Role::Probe | Role::Sampler) && contestant.is_unstable()
    };
    let mut rows = Vec::new();
    for workload in WORKLOADS
        .iter()
        .filter(|workload| MEASURED.contains(&workload.name))
    {
        let budget = match workload.metric {
            Metric::PerSecond => Budget::CPU_PROFILE_PER_SECOND,
            Metric::NsPerOp | Metric::BytesPerTask => Budget::CPU_PROFILE_PER_OP,
        };
        let mut runners = Vec::new();
        for contestant in contestants.iter().filter(samples) {
            let off = format!("{}, off", contestant.name());
            runners.push(Runner {
                name: off.clone(),
                program: &contestant.program,
                setting: None,
                against: None,
                budget: None,
            });
            runners.push(Runner {
                name: format!("{}, 100 Hz", contestant.name()),
                program: &contestant.program,
                setting: Some((VARIABLE, "1".to_owned())),
                against: Some(off),
                budget: (contestant.entry.role == Role::Probe).then_some(budget),
            });
        }
        rows.extend(comparison::in_turns(workload, &runners, options)?);
    }
    Ok(rows)
}
