//! Recorders of traces: what they cost, what they have in the end, and the price of spans.

use crate::Error;
use crate::budget::Budget;
use crate::comparison::{self, Row, Runner};
use crate::contestant::Contestant;
use crate::flight_recorder;
use crate::options::Options;
use crate::run;
use crate::table::Table;
use crate::workload::{RECORDED_CONTESTANTS, WORKLOADS, Workload};

/// The text above the table of times.
pub const EXPLANATION: &str = "\
A poll and the channel ping-pong, under dial9 (task tracking, its recorder to disk, none of its profilers) and under the probe with \
`RUNTIME_PROBE_FLIGHT_RECORDER=10s`. Both are compared with bare tokio in the same round. On one CPU the recorder's own thread takes \
its time from the workload.";

/// The text above the table of contents.
pub const CONTENTS_EXPLANATION: &str = "\
The traces of both. `rounds` are 170,000 rounds of the ping-pong on one thread, about a million events. `flood` lets two workers poll for three \
seconds, 1.5 M polls a second, where a poll is two events. `B/poll` is the file divided by all polls: the \
probe's is Go's format, and before it is written, an event has 8 bytes in memory. `lost` is what the probe counts, and for dial9 the polls whose end is \
not in its files, twice, since it shows no count.";

/// The text above the table of spans.
pub const SPANS_EXPLANATION: &str = "\
`span` is a poll of an instrumented future that wakes itself, `scope` a span that is entered and exited by hand, inside a task. `another layer` does nothing but \
enable spans, `layer` is `SpanLayer` without a trace, `recorder` the same with a flight recorder.";

fn named<'c>(contestants: &'c [Contestant], name: &str) -> Result<&'c Contestant, Error> {
    let mut contestants = contestants.iter();
    let found = contestants.find(|contestant| contestant.name() == name);
    found.ok_or_else(|| format!("no {name}").into())
}

/// Runs the workloads under each recorder.
pub fn run(contestants: &[Contestant], options: &Options) -> Result<Vec<Row>, Error> {
    let [bare, dial9, probe] = RECORDED_CONTESTANTS.map(|name| named(contestants, name));
    let (bare, dial9, probe) = (bare?, dial9?, probe?);
    let runners = [
        Runner {
            against: None,
            ..against_bare(bare)
        },
        against_bare(dial9),
        against_bare(probe),
        Runner {
            name: "probe, recorder".to_owned(),
            setting: Some(flight_recorder::setting()),
            budget: Some(Budget::RECORDED),
            ..against_bare(probe)
        },
    ];
    let mut rows = Vec::new();
    for name in ["poll", "pingpong", "pingpong-mt"] {
        let mut workloads = WORKLOADS.iter();
        let workload = workloads.find(|workload| workload.name == name);
        let workload = workload.ok_or_else(|| format!("no {name}"))?;
        rows.extend(comparison::in_turns(workload, &runners, options)?);
    }
    Ok(rows)
}

fn against_bare(contestant: &Contestant) -> Runner<'_> {
    Runner {
        name: contestant.name().to_owned(),
        program: &contestant.program,
        setting: None,
        against: Some("bare".to_owned()),
        budget: None,
    }
}

const ROUNDS: u64 = 170_000;

/// Polls a second: 3 M events.
const FLOOD: u64 = 1_500_000;

/// What the recorders have in the end.
pub fn contents(contestants: &[Contestant]) -> Result<Table, Error> {
    let mut table = Table::new(&[
        "workload",
        "recorder",
        "polls",
        "polls/s",
        "file",
        "B/poll",
        "events",
        "lost events",
    ]);
    let [probe, dial9] = ["traces", "traces-dial9"].map(|name| named(contestants, name));
    for (workload, ops) in [("rounds", ROUNDS), ("flood", FLOOD)] {
        for (name, contestant) in [("probe", &probe), ("dial9", &dial9)] {
            let Ok(contestant) = contestant else {
                continue;
            };
            eprintln!("recording {workload} {ops} with {name}");
            let value = run::values(&contestant.program, workload, ops)?;
            let known = |key| value(key).ok_or_else(|| format!("no {key}"));
            let (polls, bytes) = (known("polls")?, known("bytes")?);
            let lost = match (value("lost"), value("recorded")) {
                (Some(lost), _) => Some(lost),
                (None, Some(recorded)) => Some((polls - recorded).max(0.0) * 2.0),
                (None, None) => None,
            };
            let show = |value: Option<f64>| value.map(|value| format!("{value:.0}"));
            table.row([
                format!("{workload} {ops}"),
                name.to_owned(),
                format!("{polls:.0}"),
                format!("{:.2} M", polls / known("seconds")? / 1e6),
                format!("{:.1} MB", bytes / 1e6),
                format!("{:.1}", bytes / polls),
                show(value("events")).unwrap_or_default(),
                show(lost).unwrap_or_default(),
            ]);
        }
    }
    Ok(table)
}

const SPANS: [Workload; 2] = [
    Workload::one_cpu("span", 2_000_000, None),
    Workload::one_cpu("scope", 5_000_000, None),
];

/// The price of spans.
pub fn spans(contestants: &[Contestant], options: &Options) -> Result<Vec<Row>, Error> {
    let program = &named(contestants, "traces")?.program;
    let runner = |name: &str, setting: Option<&str>| Runner {
        name: name.to_owned(),
        program,
        setting: setting.map(|setting| ("CONTESTANT_SPANS", setting.to_owned())),
        against: setting.map(|_| "another layer".to_owned()),
        budget: None,
    };
    let runners = [
        runner("another layer", None),
        runner("layer", Some("layer")),
        runner("recorder", Some("recorder")),
    ];
    let mut rows = Vec::new();
    for workload in &SPANS {
        rows.extend(comparison::in_turns(workload, &runners, options)?);
    }
    Ok(rows)
}
