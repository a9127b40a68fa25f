//! The cost of the probe, compared with bare tokio, with dial9 and console-subscriber, and with Go.
//!
//! `cargo run --release -p benches` builds the contestants, runs them one after the other in rounds and prints ratios
//! to bare tokio, next to the budgets. `cargo run --release -p benches -- instructions` counts instructions under
//! valgrind instead. These counts barely vary from run to run, so a regression of a few percent shows on a busy
//! machine, too. `-- --help` lists the options.
//!
//! * [`options`] - the command line
//! * [`contestant`], [`golang`] - the contestants, and how each is built
//! * [`machine`] - the machine and the tools
//! * [`workload`], [`budget`] - the workloads, and their limits
//! * [`run`] - one process, one value
//! * [`statistics`], [`comparison`] - interleaved rounds to medians and ratios
//! * [`block_rate`], [`flight_recorder`], [`cpu_profile`], [`console`] - the same workloads with waits counted, with
//!   a flight recorder, with CPU time sampled, with consoles attached
//! * [`recorders`] - recorders of traces, and spans
//! * [`hold`], [`memory`], [`http`], [`dump`] - dumps of a process with many waiting tasks
//! * [`heap`] - allocators, and labels
//! * [`decode`] - dumps of foreign tasks
//! * [`instructions`], [`baseline`] - instruction counts against the committed ones
//! * [`table`], [`record`] - the report

use std::process::ExitCode;

mod baseline;
mod block_rate;
mod budget;
mod comparison;
mod console;
mod contestant;
mod cpu_profile;
mod decode;
mod dump;
mod flight_recorder;
mod golang;
mod heap;
mod hold;
mod http;
mod instructions;
mod machine;
mod memory;
mod options;
mod record;
mod recorders;
mod run;
mod statistics;
mod table;
mod workload;

use budget::Verdict;
use contestant::Absent;
use options::{Mode, Options};
use record::Record;

/// Why a run cannot go on, as a sentence.
type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let done = match options.mode {
        Mode::Help => {
            println!("{}", options::usage());
            Ok(true)
        }
        Mode::Compare => compare(&options),
        Mode::Instructions => instructions::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole comparison; `false` if `--strict` is on and a budget is exceeded.
fn compare(options: &Options) -> Result<bool, Error> {
    let field = contestant::build_wanted(options)?;
    let contestants = &field.built;
    let go = golang::build();
    if let Err(reason) = &go {
        eprintln!("no Go rows: {reason}");
    }
    let go = go.ok();

    let mut record = Record::new(options);
    record.paragraph(&machine::describe(&field, go.as_ref())?);
    let mut verdicts = Vec::new();
    let workloads: Vec<_> = workload::WORKLOADS
        .iter()
        .filter(|workload| options.wants(workload.name))
        .collect();
    if !workloads.is_empty() {
        record.section("Against bare tokio", comparison::EXPLANATION);
        let rows = comparison::run(&workloads, contestants, go.as_ref(), options)?;
        verdicts.extend(rows.iter().filter_map(|row| row.verdict));
        let compared = |absent: &&Absent| absent.entry.role.is_always_compared();
        let absent = field.absent.iter().filter(compared);
        record.table(&comparison::table(&rows, "bare", absent));
    }
    if options.wants(workload::BLOCK_RATE) {
        record.section("Block profile rates", block_rate::EXPLANATION);
        let rows = block_rate::run(contestants, go.as_ref(), options)?;
        verdicts.extend(rows.iter().filter_map(|row| row.verdict));
        record.table(&comparison::table(&rows, "off", &[]));
    }
    if options.wants(workload::FLIGHT_RECORDER) {
        record.section("Flight recorder", flight_recorder::EXPLANATION);
        let rows = flight_recorder::run(contestants, options)?;
        verdicts.extend(rows.iter().filter_map(|row| row.verdict));
        record.table(&comparison::table(&rows, "off", &[]));
    }
    if options.wants(workload::RECORDERS) {
        record.section("Recorders of traces", recorders::EXPLANATION);
        let rows = recorders::run(contestants, options)?;
        verdicts.extend(rows.iter().filter_map(|row| row.verdict));
        record.table(&comparison::table(&rows, "bare", &[]));
        record.paragraph(recorders::CONTENTS_EXPLANATION);
        record.table(&recorders::contents(contestants)?);
    }
    if options.wants(workload::SPANS) {
        record.section("Spans in traces", recorders::SPANS_EXPLANATION);
        let rows = recorders::spans(contestants, options)?;
        record.table(&comparison::table(&rows, "another layer", &[]));
    }
    if options.wants(workload::CPU_PROFILE) {
        record.section("CPU profile", cpu_profile::EXPLANATION);
        let (rows, absent) = cpu_profile::run(&field, options)?;
        verdicts.extend(rows.iter().filter_map(|row| row.verdict));
        record.table(&comparison::table(&rows, "off", &absent));
    }
    if options.wants(workload::CONSOLE) {
        record.section("Consoles and histograms", console::EXPLANATION);
        let rows = console::run(&field, options)?;
        let rivals = field.absent.iter();
        let rivals = rivals.filter(|absent| absent.entry.name == console::RIVAL);
        record.table(&comparison::table(&rows, "bare", rivals));
    }
    if options.wants(workload::DUMP) || options.wants(workload::MILLION) {
        record.section("Dumps", dump::EXPLANATION);
        let rows = dump::run(contestants, go.as_ref(), options)?;
        verdicts.extend(rows.iter().filter_map(dump::Row::verdict));
        record.table(&dump::table(&rows));
    }
    if options.wants(workload::HEAP) {
        record.section("Allocators and labels", heap::EXPLANATION);
        let (rows, absent) = heap::run(&field, options)?;
        verdicts.extend(rows.iter().filter_map(|row| row.verdict));
        record.table(&comparison::table(&rows, "the allocator inside", &absent));
    }
    if options.wants(workload::DECODE) {
        record.section("Dumps of foreign tasks", decode::EXPLANATION);
        let rows = decode::run(&field, options)?;
        verdicts.extend(rows.iter().filter_map(|row| row.verdict));
        record.table(&decode::table(&rows));
    }
    if options.wants(workload::CRATES) {
        record.section("Crates in a build", contestant::CRATES_EXPLANATION);
        let (table, of_crates) = contestant::crates(&field)?;
        verdicts.extend(of_crates);
        record.table(&table);
    }
    record.save()?;
    let count = |wanted| {
        verdicts
            .iter()
            .filter(|verdict| **verdict == wanted)
            .count()
    };
    let (over, missing) = (count(Verdict::Over), count(Verdict::NotMeasured));
    println!(
        "of {} budgets {over} exceeded, {missing} not measured",
        verdicts.len()
    );
    Ok(over + missing == 0 || !options.strict)
}

/// The directory of the workspace.
fn workspace() -> std::path::PathBuf {
    let benches = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.parent().unwrap_or(benches).to_path_buf()
}

/// The build output of a contestant, separate from the workspace's.
fn build_dir(contestant: &str) -> std::path::PathBuf {
    workspace().join("target/bench").join(contestant)
}
