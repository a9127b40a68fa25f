//! The command lines of `patch` and `unpatch`.

use crate::refusal::said;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn patch() -> Command {
    Command::new("patch")
                .about("Gives every crate of this workspace and of its dependencies an instrumented tokio; no manifest is changed")
                .arg(
                    Arg::new("path")
                        .long("path")
                        .value_name("DIR")
                        .value_parser(value_parser!(PathBuf))
                        .required_unless_present("check")
                        .help("The directory of runtime-probe in a checkout, with its Cargo.toml"),
                )
                .arg(
                    flag("unstable", "Also adds `--cfg tokio_unstable` to the flags; later runs keep it")
                        .conflicts_with("check"),
                )
                .arg(
                    flag("check", "Only tells whether the patch is in force: exit code 1 if it is not")
                        .conflicts_with("path"),
                )
                .arg(offline())
}

pub(crate) fn unpatch() -> Command {
    Command::new("unpatch")
        .about("Removes the patch: every file is as it was before")
        .arg(offline())
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn offline() -> Arg {
    flag("offline", "Lets cargo use its cache only")
}

pub(crate) fn run_patch(matches: &ArgMatches) -> ExitCode {
    let offline = matches.get_flag("offline");
    said(match matches.get_one::<PathBuf>("path") {
        Some(path) => super::patch(path, matches.get_flag("unstable"), offline),
        None => super::check(offline),
    })
}

pub(crate) fn run_unpatch(matches: &ArgMatches) -> ExitCode {
    said(super::unpatch(matches.get_flag("offline")))
}
