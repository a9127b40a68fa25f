//! The command lines of `pid` and `core`.

use super::refusal::Refusal;
use super::{Form, Options, Request, Subject, dump};
use crate::source::arguments::time;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn pid() -> Command {
    let flag = |name, help| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    with_dump_options(
Command::new("pid")
                    .about("Dumps the tasks of a running process without preparation: plain tokio, `debug = 2`")
                    .arg(
                        Arg::new("PID")
                            .required(true)
                            .value_parser(value_parser!(u32))
                            .help("The process id"),
                    )
                    .arg(
                        flag("no-stop", "Does not stop the process: approximate, and without stacks of threads")
                            .conflicts_with("threads"),
                    )
                    .arg(
                        Arg::new("twice")
                            .long("twice")
                            .value_name("TIME")
                            .value_parser(time)
                            .conflicts_with("threads")
                            .help("Looks again after TIME, as in 5s, and marks the tasks without a trace of a poll in between"),
                    ),

    )
}

pub(crate) fn core() -> Command {
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
                    .help("The program, if it is not at the path that the core file names"),
            ),
    )
}

pub(crate) fn run_pid(matches: &ArgMatches) -> ExitCode {
    let subject = Subject::Process {
        pid: *matches.get_one("PID").expect("clap asks for it"),
        no_stop: matches.get_flag("no-stop"),
        twice: matches.get_one("twice").copied(),
    };
    run(subject, matches)
}

pub(crate) fn run_core(matches: &ArgMatches) -> ExitCode {
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    let file = path("FILE").expect("clap asks for it");
    let exe = path("exe");
    run(Subject::Core { file, exe }, matches)
}

fn run(subject: Subject, matches: &ArgMatches) -> ExitCode {
    let flag = |name| matches.get_flag(name);
    let text = |name| matches.get_one::<String>(name).cloned();
    let output = matches.get_one::<PathBuf>("output");
    let form = match () {
        () if output.is_some() => Form::Profile,
        () if flag("json") => Form::Json,
        () if flag("folded") => Form::Folded,
        () => Form::Text,
    };
    let request = Request {
        subject,
        debug_file: matches.get_one::<PathBuf>("debug-file").cloned(),
        threads: flag("threads"),
        options: Options {
            plain: flag("plain"),
            group: flag("group"),
            matches: text("match"),
            state: text("state"),
            limit: matches.get_one::<usize>("limit").copied(),
            verbose: flag("verbose"),
            form,
        },
    };
    // The output is collected first, so that a refusal leaves no empty file.
    let mut bytes = Vec::new();
    let dumped = match output {
        None => dump(
            &request,
            &mut BufWriter::with_capacity(1 << 16, std::io::stdout().lock()),
        ),
        Some(path) => dump(&request, &mut bytes).and_then(|()| {
            std::fs::write(path, &bytes)
                .map_err(|error| Refusal::Output(format!("{}: {error}", path.display())))
        }),
    };
    match dumped {
        Ok(()) | Err(Refusal::Closed) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("runtime-dump: {refusal}");
            ExitCode::FAILURE
        }
    }
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
        .arg(flag("group", "One block for all tasks of one stack"))
        .arg(
            flag(
                "verbose",
                "Also shows the wrappers and the machinery of libraries",
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
                "The file with the program's debug information, of the same build",
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
