//! The cost of a served console, of an attached client, and of histograms of tasks: against bare tokio.

use std::path::Path;

use crate::Error;
use crate::comparison::{self, Row, Runner};
use crate::contestant::{Contestant, Field};
use crate::options::Options;
use crate::run::Setting;
use crate::workload::WORKLOADS;

/// The text above the table.
pub const EXPLANATION: &str = "\
`runtime-probe-console` and console-subscriber (`console`), each served with no client attached and with one that takes all \
it is told, in a process of its own on any CPU. `probe` is without a console; `histograms` is `probe` with \
`RUNTIME_PROBE_TASK_HISTOGRAMS=1`. `memory` with a client attached is read 4 s later than the others', when the console has \
seen the tasks. All but `echo` run on one CPU, the console's thread included.";

/// console-subscriber's contestant.
pub const RIVAL: &str = "console";

/// The workloads: a poll, a spawn, a wake, a service under load, and memory.
const MEASURED: [&str; 5] = ["poll", "spawn", "pingpong", "echo", "memory"];

/// The variable that names the client to attach.
const CLIENT: &str = "CONTESTANT_CONSOLE_CLIENT";

const HISTOGRAMS: &str = "RUNTIME_PROBE_TASK_HISTOGRAMS";

/// Runs them in a changing order.
pub fn run(field: &Field, options: &Options) -> Result<Vec<Row>, Error> {
    let named = |name| {
        let mut built = field.built.iter();
        built.find(|contestant| contestant.name() == name)
    };
    let ours = |name| named(name).ok_or_else(|| format!("no {name}"));
    let (bare, probe, native) = (ours("bare")?, ours("probe")?, ours("native-console")?);
    let client = native.program.with_file_name("client");
    let mut runners = vec![
        runner(bare, "", None, None),
        runner(probe, "", None, Some("bare")),
        runner(
            probe,
            ", histograms",
            Some((HISTOGRAMS, "1".to_owned())),
            Some("bare"),
        ),
    ];
    for console in [Some(native), named(RIVAL)].into_iter().flatten() {
        runners.push(runner(console, ", no client", None, Some("bare")));
        let attached = Some((CLIENT, path(&client)?));
        runners.push(runner(console, ", attached", attached, Some("bare")));
    }
    let mut rows = Vec::new();
    for workload in WORKLOADS {
        if MEASURED.contains(&workload.name) {
            rows.extend(comparison::in_turns(workload, &runners, options)?);
        }
    }
    Ok(rows)
}

fn runner<'a>(
    contestant: &'a Contestant,
    how: &str,
    setting: Option<Setting>,
    against: Option<&str>,
) -> Runner<'a> {
    Runner {
        name: format!("{}{how}", contestant.name()),
        program: &contestant.program,
        setting,
        against: against.map(str::to_owned),
        budget: None,
    }
}

/// The environment of a contestant is text.
fn path(program: &Path) -> Result<String, Error> {
    let text = program.to_str();
    Ok(text.ok_or("the workspace's path is not UTF-8")?.to_owned())
}
