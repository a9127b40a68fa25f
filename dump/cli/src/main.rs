//! The command `runtime-dump`: tasks of a running process, and what makes a workspace show all of its tasks by itself.

mod patch;
mod pid;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use patch::refusal::Refusal;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = command().get_matches();
    if let Some(("pid", matches)) = matches.subcommand() {
        return dump_process(matches);
    }
    match run(&matches) {
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

fn dump_process(matches: &ArgMatches) -> ExitCode {
    let flag = |name| matches.get_flag(name);
    let text = |name| matches.get_one::<String>(name).cloned();
    let request = pid::Request {
        pid: *matches.get_one("PID").expect("clap asks for it"),
        debug_file: matches.get_one::<PathBuf>("debug-file").cloned(),
        threads: flag("threads"),
        options: pid::Options {
            plain: flag("plain"),
            group: flag("group"),
            matches: text("match"),
            state: text("state"),
            limit: matches.get_one::<usize>("limit").copied(),
            verbose: flag("verbose"),
        },
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match pid::dump(&request, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
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
            Command::new("pid")
                .about("Dumps the tasks of a running process that was never prepared: plain tokio, `debug = 2`")
                .arg(
                    Arg::new("PID")
                        .required(true)
                        .value_parser(value_parser!(u32))
                        .help("Number of the process"),
                )
                .arg(flag("threads", "Threads and their stacks instead of tasks; needs no debug information"))
                .arg(flag("plain", "Only what Go prints: no remarks"))
                .arg(flag("group", "Tasks of one stack in one block"))
                .arg(flag("verbose", "Also the wrappers and the machinery of libraries").short('v'))
                .arg(Arg::new("match").long("match").value_name("TEXT").help("Only tasks with TEXT in the name of a function"))
                .arg(Arg::new("state").long("state").value_name("STATE").help("Only tasks in this state or with this reason: running, sleep, IO wait"))
                .arg(
                    Arg::new("limit")
                        .long("limit")
                        .value_name("N")
                        .value_parser(value_parser!(usize))
                        .help("At most N blocks"),
                )
                .arg(
                    Arg::new("debug-file")
                        .long("debug-file")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("File that has the program's debug information, of the same build"),
                ),
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
