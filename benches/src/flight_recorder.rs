//! The cost of a flight recorder: the ping-pongs and a poll with it, against the same program without one.

use crate::Error;
use crate::budget::Budget;
use crate::comparison::{self, Row, Runner};
use crate::contestant::{Contestant, Role};
use crate::options::Options;
use crate::run::Setting;
use crate::workload::WORKLOADS;

/// The text above the table.
pub const EXPLANATION: &str = "\
Channel ping-pong and a poll with `RUNTIME_PROBE_FLIGHT_RECORDER=10s`; `against off` is to the same program without it, in the same \
round. On one CPU the recorder's own thread takes its time from the workload.";

/// The workloads, and their budgets.
const RECORDED: &[(&str, Option<Budget>)] = &[
    ("poll", None),
    ("pingpong", Some(Budget::FLIGHT_RECORDER)),
    ("pingpong-mt", Some(Budget::FLIGHT_RECORDER)),
];

/// The recorder keeps ten seconds.
pub fn setting() -> Setting {
    ("RUNTIME_PROBE_FLIGHT_RECORDER", "10s".to_owned())
}

/// Runs the workloads without a flight recorder and with it.
pub fn run(contestants: &[Contestant], options: &Options) -> Result<Vec<Row>, Error> {
    let probe = contestants
        .iter()
        .find(|contestant| contestant.entry.role == Role::Probe)
        .ok_or("no probe")?;
    let mut rows = Vec::new();
    for workload in WORKLOADS {
        let Some((_, budget)) = RECORDED.iter().find(|(name, _)| *name == workload.name) else {
            continue;
        };
        let off = format!("{}, off", probe.name());
        let runners = [
            Runner {
                name: off.clone(),
                program: &probe.program,
                setting: None,
                against: None,
                budget: None,
            },
            Runner {
                name: format!("{}, on", probe.name()),
                program: &probe.program,
                setting: Some(setting()),
                against: Some(off),
                budget: *budget,
            },
        ];
        rows.extend(comparison::in_turns(workload, &runners, options)?);
    }
    Ok(rows)
}
