//! The cost of sampling CPU time: workloads with a CPU profile of 100 Hz, against the same program without one.

use crate::Error;
use crate::budget::Budget;
use crate::comparison::{self, Row, Runner};
use crate::contestant::{Absent, Field, Role};
use crate::options::Options;
use crate::run;
use crate::workload::{Metric, WORKLOADS};

/// The text above the table.
pub const EXPLANATION: &str = "\
Workloads while `pprof::start_cpu_profile` samples all threads, 100 times for each second of CPU time; `against off` is to the same program \
without a profile, in the same round. `pprof-rs` and `dial9-cpu` (its CPU sampler \
alone) are there for orientation.";

/// A task that computes and waits, tasks on two threads, and a service under load.
const MEASURED: [&str; 3] = ["poll", "pingpong-mt", "echo"];

/// The variable that switches the profile on in the contestant.
const VARIABLE: &str = "CONTESTANT_CPU_PROFILE";

/// Runs them in a changing order. A sampler that does not run here is absent.
pub fn run(field: &Field, options: &Options) -> Result<(Vec<Row>, Vec<Absent>), Error> {
    let sampling = || Some((VARIABLE, "1".to_owned()));
    let measured = || {
        let workloads = WORKLOADS.iter();
        workloads.filter(|workload| MEASURED.contains(&workload.name))
    };
    let mut contestants = Vec::new();
    let not_built = field.absent.iter();
    let not_built = not_built.filter(|absent| absent.entry.role == Role::Sampler);
    let mut absent: Vec<Absent> = not_built.cloned().collect();
    for contestant in field
        .built
        .iter()
        .filter(|contestant| contestant.is_unstable())
    {
        match contestant.entry.role {
            Role::Probe => contestants.push(contestant),
            Role::Sampler => {
                let mut trials = measured().map(|workload| {
                    run::once(&contestant.program, workload, 1, sampling().as_ref())
                });
                match trials.find_map(Result::err) {
                    None => contestants.push(contestant),
                    Some(error) => absent.push(Absent {
                        entry: contestant.entry,
                        reason: format!("does not run here: {error}"),
                    }),
                }
            }
            Role::Bare
            | Role::Before
            | Role::Patched
            | Role::Rival
            | Role::Console
            | Role::Decoding
            | Role::Allocator
            | Role::Tracing => {}
        }
    }
    let mut rows = Vec::new();
    for workload in measured() {
        let budget = match workload.metric {
            Metric::PerSecond => Budget::CPU_PROFILE_PER_SECOND,
            Metric::NsPerOp | Metric::BytesPerTask => Budget::CPU_PROFILE_PER_OP,
        };
        let mut runners = Vec::new();
        for contestant in &contestants {
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
                setting: sampling(),
                against: Some(off),
                budget: (contestant.entry.role == Role::Probe).then_some(budget),
            });
        }
        rows.extend(comparison::in_turns(workload, &runners, options)?);
    }
    Ok((rows, absent))
}
