//! The workloads in turns: A B C, B C A, ... so that a busy moment meets every contestant alike.

use std::path::Path;

use crate::Error;
use crate::budget::{Budget, Verdict};
use crate::contestant::Contestant;
use crate::golang::Go;
use crate::options::Options;
use crate::run;
use crate::statistics::Quartiles;
use crate::table::Table;
use crate::workload::{Metric, Workload};

/// What the table shows.
pub const EXPLANATION: &str = "\
Each round runs every contestant once, in turns. `absolute` is the median of the rounds; `against bare` and `difference` are \
medians of what each round's value is to bare's of the same round, with the middle half of the rounds in brackets. \
`-stable` contestants are built without `--cfg tokio_unstable` and compared with bare tokio built so. A budget is judged by \
the median; Go is there for orientation.";

/// One contestant's rounds of one workload.
pub struct Row {
    workload: &'static str,
    contestant: &'static str,
    metric: Metric,
    absolute: Quartiles,
    against_bare: Option<AgainstBare>,
    budget: Option<Budget>,
    pub verdict: Option<Verdict>,
}

struct AgainstBare {
    ratio: Quartiles,
    difference: Quartiles,
}

/// Somebody who runs a workload, Go included.
struct Runner<'a> {
    name: &'static str,
    program: &'a Path,
    against: Option<&'static str>,
}

/// Runs all workloads.
pub fn run(
    workloads: &[&'static Workload],
    contestants: &[Contestant],
    go: Option<&Go>,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for &workload in workloads {
        let mut runners: Vec<Runner<'_>> = contestants.iter().map(Runner::of_contestant).collect();
        if let Some(go) = go.filter(|_| workload.in_go) {
            runners.push(Runner {
                name: "go",
                program: &go.program,
                against: None,
            });
        }
        eprintln!("running {}", workload.name);
        let rounds = rounds(workload, &runners, options)?;
        rows.extend(evaluate(workload, &runners, &rounds));
    }
    Ok(rows)
}

/// The rows in markdown.
pub fn table(rows: &[Row]) -> Table {
    let headings = [
        "workload",
        "contestant",
        "absolute",
        "against bare",
        "difference",
        "budget",
        "verdict",
    ];
    let mut table = Table::new(&headings);
    for row in rows {
        let show = |value| row.metric.show(value);
        let ratio = row.against_bare.as_ref().map(|AgainstBare { ratio, .. }| {
            format!("{:.3}x [{:.3} {:.3}]", ratio.median, ratio.low, ratio.high)
        });
        let difference = row
            .against_bare
            .as_ref()
            .map(|AgainstBare { difference, .. }| {
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
            row.contestant.to_owned(),
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
    table
}

/// The values of each runner, round by round.
fn rounds(
    workload: &Workload,
    runners: &[Runner<'_>],
    options: &Options,
) -> Result<Vec<Vec<f64>>, Error> {
    let mut values = vec![Vec::new(); runners.len()];
    for round in 0..options.rounds() {
        for turn in 0..runners.len() {
            let index = (round + turn) % runners.len();
            values[index].push(run::once(
                runners[index].program,
                workload,
                workload.ops(options.quick),
            )?);
        }
    }
    Ok(values)
}

fn evaluate(workload: &Workload, runners: &[Runner<'_>], values: &[Vec<f64>]) -> Vec<Row> {
    let row = |index: usize, runner: &Runner<'_>| {
        let bare = runners
            .iter()
            .position(|other| Some(other.name) == runner.against);
        let against_bare = bare.map(|bare| {
            let pairs = || values[index].iter().zip(&values[bare]);
            AgainstBare {
                ratio: Quartiles::of(pairs().map(|(own, bare)| own / bare)),
                difference: Quartiles::of(pairs().map(|(own, bare)| own - bare)),
            }
        });
        let budget = workload.budget.filter(|_| against_bare.is_some());
        let verdict =
            budget
                .zip(against_bare.as_ref())
                .map(|(budget, AgainstBare { ratio, difference })| {
                    budget.judge(ratio.median, difference.median)
                });
        Row {
            workload: workload.name,
            contestant: runner.name,
            metric: workload.metric,
            absolute: Quartiles::of(values[index].iter().copied()),
            against_bare,
            budget,
            verdict,
        }
    };
    runners
        .iter()
        .enumerate()
        .map(|(index, runner)| row(index, runner))
        .collect()
}

impl<'a> Runner<'a> {
    fn of_contestant(contestant: &'a Contestant) -> Self {
        Self {
            name: contestant.name(),
            program: &contestant.program,
            against: contestant.entry.against,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::WORKLOADS;

    #[test]
    fn a_round_is_compared_with_bare_of_the_same_round() {
        let program = Path::new("");
        let runners = [
            Runner {
                name: "bare",
                program,
                against: None,
            },
            Runner {
                name: "probe",
                program,
                against: Some("bare"),
            },
            Runner {
                name: "go",
                program,
                against: None,
            },
        ];
        // The machine was twice as slow in the second round and three times in the third: the ratio stays.
        let values = [
            vec![40.0, 80.0, 120.0],
            vec![50.0, 100.0, 150.0],
            vec![9.0, 9.0, 9.0],
        ];
        let rows = evaluate(&WORKLOADS[0], &runners, &values);
        let probe = rows[1].against_bare.as_ref().unwrap();
        assert_eq!(
            probe.ratio,
            Quartiles {
                low: 1.25,
                median: 1.25,
                high: 1.25
            }
        );
        assert_eq!(probe.difference.median, 20.0);
        assert_eq!(rows[1].verdict, Some(Verdict::Over));
        assert!(rows[0].verdict.is_none() && rows[2].against_bare.is_none());
    }
}
