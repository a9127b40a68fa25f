//! The command `runtime-dump`: what a user does with a workspace so that all of its tasks are seen.

mod patch;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use patch::refusal::Refusal;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&command().get_matches()) {
        Ok(message) => {
            // Whoever has stopped reading does not want to know.
            let _ = writeln!(std::io::stdout(), "{message}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("runtime-dump: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let flag = |name, help| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let offline = || flag("offline", "Lets cargo use what it has in its cache only");
    Command::new("runtime-dump")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Task dumps of tokio services")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("patch")
                .about("Gives every crate of this workspace and of its dependencies an instrumented tokio; no manifest is changed")
                .arg(
                    Arg::new("path")
                        .long("path")
                        .value_name("DIR")
                        .value_parser(value_parser!(PathBuf))
                        .required_unless_present("check")
                        .help("Directory of runtime-probe in a checkout: it has the Cargo.toml"),
                )
                .arg(
                    flag("unstable", "Also adds `--cfg tokio_unstable` to the flags; later runs keep it")
                        .conflicts_with("check"),
                )
                .arg(
                    flag("check", "Only tells whether the patch is in force: exit code 1 if it is not")
                        .conflicts_with("path"),
                )
                .arg(offline()),
        )
        .subcommand(
            Command::new("unpatch")
                .about("Takes the patch back: every file is what it was")
                .arg(offline()),
        )
}

fn run(matches: &ArgMatches) -> Result<String, Refusal> {
    match matches.subcommand() {
        Some(("patch", matches)) => {
            let offline = matches.get_flag("offline");
            match matches.get_one::<PathBuf>("path") {
                Some(path) => patch::patch(path, matches.get_flag("unstable"), offline),
                None => patch::check(offline),
            }
        }
        Some(("unpatch", matches)) => patch::unpatch(matches.get_flag("offline")),
        _ => unreachable!("clap asks for a subcommand"),
    }
}
