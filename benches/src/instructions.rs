//! Instructions for each operation, counted by callgrind.
//!
//! A workload runs twice, with two counts of operations. The instructions that both runs have in common (start-up,
//! warm-up) cancel out in (I(N2) - I(N1)) / (N2 - N1). Counts of one binary repeat to a fraction of a percent, on any
//! load of the machine.

use std::path::Path;
use std::process::Command;

use crate::baseline::{self, Baseline, Standing};
use crate::budget::{Budget, Measured, Verdict};
use crate::contestant::{self, Contestant, Role};
use crate::options::Options;
use crate::record::Record;
use crate::table::Table;
use crate::{Error, build_dir, flight_recorder, machine, run};

const EXPLANATION: &str = "\
Instructions in user space an operation, from two runs under callgrind with different numbers of operations. `baseline` is \
the committed count; a count more than 5 % above it fails the run, 12 % for spawns, and so does one that is over its budget.";

/// Workloads of one thread only: with two, the counts depend on which of them waits.
const WORKLOADS: &[Counted] = &[
    Counted {
        name: "poll",
        few: 10_000,
        many: 60_000,
        budget: Some(Budget::POLL_INSTRUCTIONS),
        is_recorded: false,
    },
    Counted {
        name: "poll-yield",
        few: 10_000,
        many: 60_000,
        budget: None,
        is_recorded: false,
    },
    Counted {
        name: "wake",
        few: 10_000,
        many: 210_000,
        budget: None,
        is_recorded: false,
    },
    Counted {
        name: "clone",
        few: 10_000,
        many: 210_000,
        budget: None,
        is_recorded: false,
    },
    // No budget: the addresses of the allocator's blocks change the count of one binary from 3,320 to 3,670. The
    // batch has a budget.
    Counted {
        name: "spawn",
        few: 2_000,
        many: 12_000,
        budget: None,
        is_recorded: false,
    },
    Counted {
        name: "spawn-batch",
        few: 2_000,
        many: 12_000,
        budget: Some(Budget::SPAWN_INSTRUCTIONS),
        is_recorded: false,
    },
    Counted {
        name: "pingpong",
        few: 2_000,
        many: 12_000,
        budget: Some(Budget::PING_PONG_INSTRUCTIONS),
        is_recorded: false,
    },
    Counted {
        name: "pingpong",
        few: 2_000,
        many: 12_000,
        budget: None,
        is_recorded: true,
    },
    Counted {
        name: "lock",
        few: 10_000,
        many: 60_000,
        budget: None,
        is_recorded: false,
    },
    Counted {
        name: "mutex",
        few: 2_000,
        many: 12_000,
        budget: None,
        is_recorded: false,
    },
    Counted {
        name: "lock-thread",
        few: 10_000,
        many: 210_000,
        budget: None,
        is_recorded: false,
    },
];

const CONTESTANTS: &[&str] = &["bare", "probe"];

/// With `--before`.
const BEFORE: &str = "probe-before";

struct Counted {
    name: &'static str,
    few: u64,
    many: u64,
    budget: Option<Budget>,
    /// The probe's flight recorder is on. Bare tokio has none, and runs unchanged.
    is_recorded: bool,
}

/// Counts and compares; `false` if a count is above the baseline, or not in it.
pub fn run(options: &Options) -> Result<bool, Error> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("instruction counts need valgrind".into());
    }
    let before = options.before.then_some(BEFORE);
    let names: Vec<_> = CONTESTANTS.iter().copied().chain(before).collect();
    let field = contestant::build(&names)?;
    let contestants = &field.built;
    let mut record = Record::new(options);
    record.paragraph(&machine::describe(&field, None)?);
    record.section("Instructions", EXPLANATION);

    let path = baseline::path();
    let mut baseline = Baseline::load(&path)?;
    let mut table = Table::new(&[
        "workload",
        "contestant",
        "instructions",
        "above bare",
        "against bare",
        "budget",
        "baseline",
        "change",
        "verdict",
    ]);
    let mut passed = true;
    for workload in WORKLOADS
        .iter()
        .filter(|workload| options.wants(workload.name))
    {
        let mut bare = None;
        for contestant in contestants {
            let name = format!("{}/{}", contestant.name(), workload.shown());
            eprintln!("counting {name}");
            let count = workload.instructions_per_op(contestant)?;
            let before = baseline.get(&name);
            // Only counts of today's probe go into the baseline.
            let is_kept = contestant.entry.role != Role::Before;
            let standing = is_kept.then(|| baseline.standing(&name, count));
            let budget = workload
                .budget
                .filter(|_| contestant.entry.role.has_budgets());
            let verdict = budget.zip(bare).map(|(budget, bare)| {
                budget.judge(Measured {
                    ratio: count / bare,
                    added: count - bare,
                    dial9_added: None,
                })
            });
            passed &= !standing.is_some_and(Standing::fails) && verdict != Some(Verdict::Over);
            let verdicts = [
                standing.map(|standing| standing.to_string()),
                verdict
                    .filter(|verdict| *verdict != Verdict::Within)
                    .map(|verdict| format!("budget {verdict}")),
            ];
            table.row([
                workload.shown(),
                contestant.name().to_owned(),
                format!("{count:.1}"),
                bare.map(|bare| format!("{:+.1}", count - bare))
                    .unwrap_or_default(),
                bare.map(|bare| format!("{:.3}x", count / bare))
                    .unwrap_or_default(),
                budget.map(|budget| budget.to_string()).unwrap_or_default(),
                before
                    .map(|before| format!("{before:.1}"))
                    .unwrap_or_default(),
                before
                    .map(|before| format!("{:+.1} %", (count / before - 1.0) * 100.0))
                    .unwrap_or_default(),
                verdicts
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(", "),
            ]);
            bare.get_or_insert(count);
            if options.bless && is_kept {
                baseline.set(name, count);
            }
        }
    }
    record.table(&table);
    record.save()?;
    if options.bless {
        let tokio = contestants[0].entry.tokio()?;
        let tokio = tokio.split(" [").next().unwrap_or_default();
        let remark = format!(
            "Instructions an operation; `cargo run --release -p benches -- instructions --bless` rewrites this.\n{}, {tokio}",
            machine::rustc()
        );
        baseline.save(&path, &remark)?;
        eprintln!("wrote {}", path.display());
        return Ok(true);
    }
    Ok(passed)
}

impl Counted {
    fn shown(&self) -> String {
        match self.is_recorded {
            true => format!("{}-recorded", self.name),
            false => self.name.to_owned(),
        }
    }

    fn instructions_per_op(&self, contestant: &Contestant) -> Result<f64, Error> {
        let few = self.instructions(contestant, self.few)?;
        let many = self.instructions(contestant, self.many)?;
        Ok((many as f64 - few as f64) / (self.many - self.few) as f64)
    }

    fn instructions(&self, contestant: &Contestant, ops: u64) -> Result<u64, Error> {
        let profile = build_dir(contestant.name()).join("callgrind.out");
        let mut command = Command::new("valgrind");
        run::isolate(&mut command);
        command.envs(self.is_recorded.then(flight_recorder::setting));
        let output = command
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(&contestant.program)
            .args([self.name, &ops.to_string()])
            .output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "valgrind {} {}: {}\n{why}",
                contestant.name(),
                self.name,
                output.status
            )
            .into());
        }
        read_total(&profile)
    }
}

/// The sum of the profile over all threads.
fn read_total(profile: &Path) -> Result<u64, Error> {
    let text = std::fs::read_to_string(profile)?;
    total(&text).ok_or_else(|| format!("{}: no totals", profile.display()).into())
}

fn total(profile: &str) -> Option<u64> {
    let last = |key: &str| {
        profile
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
    };
    last("totals:").or_else(|| last("summary:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_last_line_of_a_profile() {
        assert_eq!(
            total("version: 1\nsummary: 7\nfn=(1)\n+1 5\ntotals: 7\n"),
            Some(7)
        );
        assert_eq!(total("summary: 9\n"), Some(9));
        assert_eq!(total("fn=(1)\n"), None);
    }
}
