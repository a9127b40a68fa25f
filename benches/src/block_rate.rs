//! The cost of counting waits: channels and a lock with a block profile rate, against the same program with the rate
//! off, for the probe and for Go.

use std::path::Path;

use crate::Error;
use crate::budget::Budget;
use crate::comparison::{self, Row, Runner};
use crate::contestant::{Contestant, Role};
use crate::golang::Go;
use crate::options::Options;
use crate::workload::WORKLOADS;

/// The text above the table.
pub const EXPLANATION: &str = "\
Channel ping-pong and a contended lock with `RUNTIME_PROBE_BLOCK_RATE` at so many nanoseconds, and in Go with `runtime.SetBlockProfileRate` at the \
same; `against off` is to the same program with the rate off, in the same round. Go's own slowdown is there for orientation.";

/// The block profile rate of the probe; the Go contestant reads the same name.
const BLOCK_RATE: &str = "RUNTIME_PROBE_BLOCK_RATE";

/// Nanoseconds of waiting for each sample: about one wait in some thousands, one in some dozens, every wait.
const RATES: &[(u64, Budget)] = &[
    (1_000_000, Budget::BLOCK_RATE_1_000_000),
    (10_000, Budget::BLOCK_RATE_10_000),
    (1, Budget::BLOCK_RATE_1),
];

/// Runs the workloads at every rate.
pub fn run(
    contestants: &[Contestant],
    go: Option<&Go>,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    let probe = contestants
        .iter()
        .find(|contestant| contestant.entry.role == Role::Probe)
        .ok_or("no probe")?;
    let mut runners = at_every_rate(probe.name(), &probe.program, true);
    runners.extend(go.map_or(Vec::new(), |go| at_every_rate("go", &go.program, false)));
    let mut rows = Vec::new();
    for workload in WORKLOADS.iter().filter(|workload| workload.in_go) {
        rows.extend(comparison::in_turns(workload, &runners, options)?);
    }
    Ok(rows)
}

/// One program with the rate off, then at each rate; only the probe has budgets.
fn at_every_rate<'a>(name: &str, program: &'a Path, ours: bool) -> Vec<Runner<'a>> {
    let off = format!("{name}, off");
    let mut runners = vec![Runner {
        name: off.clone(),
        program,
        setting: None,
        against: None,
        budget: None,
    }];
    runners.extend(RATES.iter().map(|&(rate, budget)| Runner {
        name: format!("{name}, {rate}"),
        program,
        setting: Some((BLOCK_RATE, rate.to_string())),
        against: Some(off.clone()),
        budget: ours.then_some(budget),
    }));
    runners
}
