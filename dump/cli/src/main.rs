//! The command `runtime-dump`: tasks of a running process, and what makes a workspace show all of its tasks by itself.

mod patch;
mod pid;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use patch::refusal::Refusal;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("pid", matches)) => {
            let subject = pid::Subject::Process {
                pid: *matches.get_one("PID").expect("clap asks for it"),
                no_stop: matches.get_flag("no-stop"),
                twice: matches.get_one("twice").copied(),
            };
            return dump(subject, matches);
        }
        Some(("core", matches)) => {
            let path = |name| matches.get_one::<PathBuf>(name).cloned();
            let file = path("FILE").expect("clap asks for it");
            let exe = path("exe");
            return dump(pid::Subject::Core { file, exe }, matches);
        }
        _ => {}
    }
    match run(&matches) {
        Ok(message) => {
            // A reader that has closed the pipe needs no message.
            let _ = writeln!(std::io::stdout(), "{message}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("runtime-dump: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn dump(subject: pid::Subject, matches: &ArgMatches) -> ExitCode {
    let flag = |name| matches.get_flag(name);
    let text = |name| matches.get_one::<String>(name).cloned();
    let output = matches.get_one::<PathBuf>("output");
    let form = match () {
        () if output.is_some() => pid::Form::Profile,
        () if flag("json") => pid::Form::Json,
        () if flag("folded") => pid::Form::Folded,
        () => pid::Form::Text,
    };
    let request = pid::Request {
        subject,
        debug_file: matches.get_one::<PathBuf>("debug-file").cloned(),
        threads: flag("threads"),
        options: pid::Options {
            plain: flag("plain"),
            group: flag("group"),
            matches: text("match"),
            state: text("state"),
            limit: matches.get_one::<usize>("limit").copied(),
            verbose: flag("verbose"),
            form,
        },
    };
    // A refusal leaves no empty file behind.
    let mut bytes = Vec::new();
    let dumped = match output {
        None => pid::dump(
            &request,
            &mut BufWriter::with_capacity(1 << 16, std::io::stdout().lock()),
        ),
        Some(path) => pid::dump(&request, &mut bytes).and_then(|()| {
            std::fs::write(path, &bytes).map_err(|error| {
                pid::refusal::Refusal::Output(format!("{}: {error}", path.display()))
            })
        }),
    };
    match dumped {
        Ok(()) | Err(pid::refusal::Refusal::Closed) => ExitCode::SUCCESS,
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
            with_dump_options(
                Command::new("pid")
                    .about("Dumps the tasks of a running process that was never prepared: plain tokio, `debug = 2`")
                    .arg(
                        Arg::new("PID")
                            .required(true)
                            .value_parser(value_parser!(u32))
                            .help("Number of the process"),
                    )
                    .arg(
                        flag("no-stop", "Lets the process run on: approximate, and without stacks of threads")
                            .conflicts_with("threads"),
                    )
                    .arg(
                        Arg::new("twice")
                            .long("twice")
                            .value_name("TIME")
                            .value_parser(pause)
                            .conflicts_with("threads")
                            .help("Looks again after TIME, as in 5s, and says which tasks have no trace of a poll in between"),
                    ),
            ),
        )
        .subcommand(
            with_dump_options(
                Command::new("core")
                    .about("Dumps the tasks of a core file, the kernel's or gcore's")
                    .arg(
                        Arg::new("FILE")
                            .required(true)
                            .value_parser(value_parser!(PathBuf))
                            .help("The core file"),
                    )
                    .arg(
                        Arg::new("exe")
                            .long("exe")
                            .value_name("FILE")
                            .value_parser(value_parser!(PathBuf))
                            .help("The program, where it is no more where the core says"),
                    ),
            ),
        )
        .subcommand(
            Command::new("unpatch")
                .about("Takes the patch back: every file is what it was")
                .arg(offline()),
        )
}

/// `5s`, `500ms`, `2m`.
fn pause(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err("a time is a number and its unit, ms, s or m, as in 5s".to_owned()),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "a time begins with a number, as in 5s".to_owned())?;
    Ok(Duration::from_millis(u64::from(number) * millis))
}

fn with_dump_options(command: Command) -> Command {
    let flag = |name, help| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let value =
        |name, value_name, help| Arg::new(name).long(name).value_name(value_name).help(help);
    command
        .arg(flag(
            "threads",
            "Threads and their stacks instead of tasks; needs no debug information",
        ))
        .arg(flag("plain", "Only what Go prints: no remarks"))
        .arg(flag("group", "Tasks of one stack in one block"))
        .arg(
            flag(
                "verbose",
                "Also the wrappers and the machinery of libraries",
            )
            .short('v'),
        )
        .arg(value(
            "match",
            "TEXT",
            "Only tasks with TEXT in the name of a function",
        ))
        .arg(value(
            "state",
            "STATE",
            "Only tasks in this state or with this reason: running, sleep, IO wait",
        ))
        .arg(value("limit", "N", "At most N blocks").value_parser(value_parser!(usize)))
        .arg(
            value(
                "debug-file",
                "FILE",
                "File that has the program's debug information, of the same build",
            )
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag("json", "An array with an object for each task")
                .conflicts_with_all(["folded", "output", "threads", "group", "plain"]),
        )
        .arg(
            flag("folded", "Folded stacks, for flame graphs")
                .conflicts_with_all(["output", "threads", "group", "plain"]),
        )
        .arg(
            value(
                "output",
                "FILE",
                "Writes a profile for `go tool pprof`: a sample for each task",
            )
            .short('o')
            .value_parser(value_parser!(PathBuf))
            .conflicts_with_all(["threads", "group", "plain"]),
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
