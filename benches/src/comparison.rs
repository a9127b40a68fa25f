//! The workloads in a changing order: A B C, B C A, ... so that a disturbance affects every contestant alike.

use std::path::Path;

use crate::Error;
use crate::budget::{Budget, Measured, Verdict};
use crate::contestant::{Absent, Contestant, Role};
use crate::golang::Go;
use crate::options::Options;
use crate::run::{self, Setting};
use crate::statistics::Quartiles;
use crate::table::Table;
use crate::workload::{Metric, Workload};

/// The text above the table.
pub const EXPLANATION: &str = "\
Each round runs every contestant once, in turns. `absolute` is the median of the rounds; `against bare` and `difference` are \
medians of what each round's value is to bare's of the same round, with the middle half of the rounds in brackets. \
`-stable` contestants are built without `--cfg tokio_unstable` and compared with bare tokio built so. A budget is judged by \
the median. `dial9` (its spawns, task tracking and a recorder to disk, no profilers; `-hooks` with \
tokio's spawns, whose wakes it does not see), `console` (console-subscriber, no \
console connected) and Go are there for orientation. All but `pingpong-mt`, `echo` and `echo-server` run on one CPU, background threads included. In `echo` clients and server \
are tasks of one process; in `echo-server` the clients are a process of bare tokio, and a request has one poll of the contestant.";

/// The variable of a server's environment that names the program of its clients.
const CLIENTS: &str = "CONTESTANT_CLIENTS";

/// The contestant on which some budgets depend.
const DIAL9: &str = "dial9";

/// The part of a run's operations that is tried first, to see how many fit.
const TRIAL_PART: u64 = 20;

/// One contestant's rounds of one workload.
pub struct Row {
    workload: &'static str,
    runner: String,
    metric: Metric,
    absolute: Quartiles,
    relative: Option<Relative>,
    budget: Option<Budget>,
    pub verdict: Option<Verdict>,
}

/// Values relative to the runner that this one is compared with.
struct Relative {
    ratio: Quartiles,
    difference: Quartiles,
}

/// A program that runs a workload, with its settings.
pub struct Runner<'a> {
    pub name: String,
    pub program: &'a Path,
    pub setting: Option<Setting>,
    /// The name of the runner that its ratios are against.
    pub against: Option<String>,
    pub budget: Option<Budget>,
}

/// Runs all workloads with every contestant.
pub fn run(
    workloads: &[&'static Workload],
    contestants: &[Contestant],
    go: Option<&Go>,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for &workload in workloads {
        let clients = contestants
            .iter()
            .find(|contestant| workload.bare_clients && contestant.entry.role == Role::Bare)
            .map(|bare| (CLIENTS, bare.program.display().to_string()));
        let of_contestant = |contestant| Runner {
            setting: clients.clone(),
            ..Runner::of_contestant(contestant, workload)
        };
        let compared = |contestant: &&Contestant| contestant.entry.role.is_always_compared();
        let compared = contestants.iter().filter(compared);
        let mut runners: Vec<_> = compared.map(of_contestant).collect();
        runners.extend(go.filter(|_| workload.in_go).map(Runner::of_go));
        rows.extend(in_turns(workload, &runners, options)?);
    }
    Ok(rows)
}

/// Runs one workload with these runners, in a changing order.
pub fn in_turns(
    workload: &Workload,
    runners: &[Runner<'_>],
    options: &Options,
) -> Result<Vec<Row>, Error> {
    eprintln!("running {}", workload.name);
    let rounds = rounds(workload, runners, options)?;
    Ok(evaluate(workload, runners, &rounds))
}

/// The rows in markdown; `against` names the base of the ratios. Absent contestants are listed with the reason.
pub fn table<'a>(
    rows: &[Row],
    against: &str,
    absent: impl IntoIterator<Item = &'a Absent>,
) -> Table {
    let against = format!("against {against}");
    let headings = [
        "workload",
        "contestant",
        "absolute",
        &against,
        "difference",
        "budget",
        "verdict",
    ];
    let mut table = Table::new(&headings);
    for row in rows {
        let show = |value| row.metric.show(value);
        let ratio = row.relative.as_ref().map(|Relative { ratio, .. }| {
            format!("{:.3}x [{:.3} {:.3}]", ratio.median, ratio.low, ratio.high)
        });
        let difference = row.relative.as_ref().map(|Relative { difference, .. }| {
            let sign = if difference.median < 0.0 { "" } else { "+" };
            format!(
                "{sign}{} [{} {}]",
                show(difference.median),
                show(difference.low),
                show(difference.high)
            )
        });
        table.row([
            row.workload.to_owned(),
            row.runner.clone(),
            show(row.absolute.median),
            ratio.unwrap_or_default(),
            difference.unwrap_or_default(),
            row.budget
                .map(|budget| budget.to_string())
                .unwrap_or_default(),
            row.verdict
                .map(|verdict| verdict.to_string())
                .unwrap_or_default(),
        ]);
    }
    for absent in absent {
        let mut cells = vec![
            "all".to_owned(),
            absent.entry.name.to_owned(),
            absent.reason.lines().collect::<Vec<_>>().join(" "),
        ];
        cells.resize(headings.len(), String::new());
        table.row(cells);
    }
    table
}

/// The values of each runner, round by round.
fn rounds(
    workload: &Workload,
    runners: &[Runner<'_>],
    options: &Options,
) -> Result<Vec<Vec<f64>>, Error> {
    let ops = |runner| operations(workload, runner, options);
    let ops = runners.iter().map(ops).collect::<Result<Vec<_>, _>>()?;
    let mut values = vec![Vec::new(); runners.len()];
    for round in 0..options.rounds() {
        for turn in 0..runners.len() {
            let index = (round + turn) % runners.len();
            values[index].push(runners[index].run(workload, ops[index])?);
        }
    }
    Ok(values)
}

/// The operations of one run: the workload's number, or as many as fit.
fn operations(workload: &Workload, runner: &Runner<'_>, options: &Options) -> Result<u64, Error> {
    let all = workload.ops(options.quick);
    let trial = runner.run(workload, all / TRIAL_PART)?;
    Ok(all.min(workload.metric.fitting(trial)).max(1))
}

fn evaluate(workload: &Workload, runners: &[Runner<'_>], values: &[Vec<f64>]) -> Vec<Row> {
    let relative = |index: usize| {
        let against = runners[index].against.as_ref();
        let other = runners
            .iter()
            .position(|other| Some(&other.name) == against)?;
        let pairs = || values[index].iter().zip(&values[other]);
        Some(Relative {
            ratio: Quartiles::of(pairs().map(|(own, other)| own / other)),
            difference: Quartiles::of(pairs().map(|(own, other)| own - other)),
        })
    };
    let dial9 = runners.iter().position(|runner| runner.name == DIAL9);
    let dial9_added = dial9
        .and_then(relative)
        .map(|dial9| dial9.difference.median);
    let row = |(index, runner): (usize, &Runner<'_>)| {
        let relative = relative(index);
        let measured = relative.as_ref().map(|relative| Measured {
            ratio: relative.ratio.median,
            added: relative.difference.median,
            dial9_added,
        });
        Row {
            workload: workload.name,
            runner: runner.name.clone(),
            metric: workload.metric,
            absolute: Quartiles::of(values[index].iter().copied()),
            relative,
            budget: runner.budget,
            verdict: runner
                .budget
                .zip(measured)
                .map(|(budget, measured)| budget.judge(measured)),
        }
    };
    runners.iter().enumerate().map(row).collect()
}

impl<'a> Runner<'a> {
    fn of_contestant(contestant: &'a Contestant, workload: &Workload) -> Self {
        let entry = contestant.entry;
        Self {
            name: entry.name.to_owned(),
            program: &contestant.program,
            setting: None,
            against: entry.against.map(str::to_owned),
            budget: workload.budget.filter(|_| entry.role.has_budgets()),
        }
    }

    fn of_go(go: &'a Go) -> Self {
        Self {
            name: "go".to_owned(),
            program: &go.program,
            setting: None,
            against: None,
            budget: None,
        }
    }

    fn run(&self, workload: &Workload, ops: u64) -> Result<f64, Error> {
        run::once(self.program, workload, ops, self.setting.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WORKLOADS;

    fn runner(name: &str, against: Option<&str>, budget: Option<Budget>) -> Runner<'static> {
        Runner {
            name: name.to_owned(),
            program: Path::new(""),
            setting: None,
            against: against.map(str::to_owned),
            budget,
        }
    }

    #[test]
    fn a_round_is_compared_with_bare_of_the_same_round() {
        let runners = [
            runner("bare", None, None),
            runner("probe", Some("bare"), Some(Budget::PartOfDial9(0.24))),
            runner("dial9", Some("bare"), None),
            runner("go", None, None),
        ];
        // The machine was twice as slow in the second round and three times in the third: the ratio does not change.
        let values = [
            vec![40.0, 80.0, 120.0],
            vec![50.0, 100.0, 150.0],
            vec![80.0, 160.0, 240.0],
            vec![9.0, 9.0, 9.0],
        ];
        let rows = evaluate(&WORKLOADS[0], &runners, &values);
        let ratio = |row: usize| rows[row].relative.as_ref().map(|relative| relative.ratio);
        let always = |value| Quartiles {
            low: value,
            median: value,
            high: value,
        };
        assert_eq!(ratio(1), Some(always(1.25)));
        assert_eq!(ratio(2), Some(always(2.0)));
        let probe = rows[1].relative.as_ref().unwrap();
        assert_eq!(probe.difference.median, 20.0);
        assert_eq!(rows[1].verdict, Some(Verdict::Over));
        assert_eq!(rows[2].verdict, None);
        assert!(ratio(0).is_none() && ratio(3).is_none());
    }
}
