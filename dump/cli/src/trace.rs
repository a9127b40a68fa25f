//! `trace`: an execution trace, for `go tool trace`.

use crate::refusal::{Refusal, said};
use crate::show::progress::Progress;
use crate::source::arguments::{output, source, with_source};
use clap::{Arg, ArgMatches, Command, value_parser};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn command() -> Command {
    let command = Command::new("trace")
        .about("Writes an execution trace of some seconds, for `go tool trace`");
    with_source(command)
        .arg(output("The file to write").required(true))
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_name("N")
                .default_value("1")
                .value_parser(value_parser!(u32).range(1..=3600))
                .help("The length of the trace in seconds"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    said(trace(matches))
}

fn trace(matches: &ArgMatches) -> Result<String, Refusal> {
    let source = source(matches)?;
    if !source.is_live() {
        return Err(Refusal::new(format!(
            "{source}: a trace needs a server; `go tool trace FILE` shows a file"
        )));
    }
    let path: &PathBuf = matches.get_one("output").expect("clap asks for it");
    let seconds: u32 = *matches.get_one("seconds").expect("it has a default");
    let span = Duration::from_secs(seconds.into());
    let progress = Progress::start("tracing", span);
    let bytes = source.bytes(&format!("trace?seconds={seconds}"), span);
    drop(progress);
    let bytes = bytes?;
    if !bytes.starts_with(b"go 1.") {
        return Err(Refusal::new(format!("{source}: the answer is no trace")));
    }
    std::fs::write(path, &bytes).map_err(|error| Refusal::file("write", path, &error))?;
    Ok(format!(
        "{}: {} bytes; `go tool trace {}` shows it",
        path.display(),
        bytes.len(),
        path.display()
    ))
}
