//! The command line.

use std::path::PathBuf;

use crate::{contestant, workload};

/// The options of a run.
#[derive(Debug, PartialEq)]
pub struct Options {
    pub mode: Mode,
    /// Few short rounds: a test that everything works, not a measurement.
    pub quick: bool,
    /// Rounds of the comparison, if not the default.
    rounds: Option<usize>,
    /// The names to run; empty for all.
    only: Vec<String>,
    /// An exceeded budget makes the run fail.
    pub strict: bool,
    /// The probe of an older commit takes part.
    pub before: bool,
    /// The seed of the order in which the linker places the contestants' functions; `None` for its own order.
    pub layout: Option<u32>,
    /// Rewrite the baseline of the instruction counts.
    pub bless: bool,
    /// The file for the record.
    pub record: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Compare,
    Instructions,
    Help,
}

/// An odd number, so that the median is one of the runs.
const DEFAULT_ROUNDS: usize = 11;
const QUICK_ROUNDS: usize = 3;

impl Options {
    /// Reads the arguments after the program's name; an error is the sentence to print.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            mode: Mode::Compare,
            quick: false,
            rounds: None,
            only: Vec::new(),
            strict: false,
            before: false,
            layout: None,
            bless: false,
            record: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "instructions" => options.mode = Mode::Instructions,
                "--help" | "-h" => options.mode = Mode::Help,
                "--quick" => options.quick = true,
                "--strict" => options.strict = true,
                "--before" => options.before = true,
                "--bless" => options.bless = true,
                "--record" => options.record = Some(PathBuf::from(value()?)),
                "--layout" => {
                    // lld takes 0 for its own order.
                    let seed = value()?.parse().ok().filter(|seed| *seed > 0);
                    options.layout = Some(seed.ok_or("--layout needs a number above zero")?);
                }
                "--rounds" => {
                    let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds = Some(rounds.ok_or("--rounds needs a number above zero")?);
                }
                "--only" => {
                    let name = value()?;
                    if !workload::names().any(|known| known == name) {
                        let names: Vec<_> = workload::names().collect();
                        return Err(format!("--only {name}: it is one of {}", names.join(", ")));
                    }
                    options.only.push(name);
                }
                unknown => return Err(format!("unknown argument {unknown}\n\n{}", usage())),
            }
        }
        Ok(options)
    }

    /// Whether a workload, or group of rows, of this name is to run.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Whether the run has any other name than these.
    pub fn wants_others_than(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| !names.contains(&&**only))
    }

    /// Rounds of the comparison.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick {
            QUICK_ROUNDS
        } else {
            DEFAULT_ROUNDS
        })
    }
}

/// The text of `--help`.
pub fn usage() -> String {
    let names: Vec<_> = workload::names().collect();
    format!(
        "\
usage: cargo run --release -p benches -- [OPTIONS]                 ratios against bare tokio, dumps, crates
       cargo run --release -p benches -- instructions [OPTIONS]    instruction counts against the committed baseline

  --quick         few short rounds
  --rounds K      rounds of the comparison (default {DEFAULT_ROUNDS}, quick {QUICK_ROUNDS})
  --only NAME     one of: {}; may be repeated
  --record FILE   also write a dated record in markdown
  --strict        fail where a budget is exceeded or not measured
  --before        also the probe of commit {}, as contestant probe-before
  --layout SEED   the contestants' functions in an order by this number, to see how much of a ratio comes from their places
  --bless         instructions: rewrite the baseline",
        names.join(", "),
        contestant::BEFORE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_asked_for_is_the_whole_comparison() {
        let options = parse("").unwrap();
        assert_eq!(options.mode, Mode::Compare);
        assert!(options.wants("poll") && options.wants(workload::DUMP));
        assert_eq!(options.rounds(), DEFAULT_ROUNDS);
    }

    #[test]
    fn only_names_what_runs() {
        let options = parse("--only poll --only dump --quick").unwrap();
        assert!(options.wants("poll") && options.wants("dump") && !options.wants("poll-yield"));
        assert!(
            options.wants_others_than(&["dump"]) && !options.wants_others_than(&["dump", "poll"])
        );
        assert!(parse("").unwrap().wants_others_than(&["dump"]));
        assert_eq!(options.rounds(), QUICK_ROUNDS);
    }

    #[test]
    fn what_is_unknown_is_an_error() {
        assert!(parse("--only nothing").unwrap_err().contains("poll"));
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--record").unwrap_err().contains("needs a value"));
        assert!(parse("--before").unwrap().before && !parse("").unwrap().before);
        assert_eq!(parse("--layout 7").unwrap().layout, Some(7));
        assert!(parse("--layout 0").is_err() && parse("").unwrap().layout.is_none());
        assert!(parse("--fast").unwrap_err().contains("usage"));
    }
}
