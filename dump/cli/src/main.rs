//! The command `runtime-dump`. It shows the tasks of a service, of a process without preparation, and of dumps in
//! files. It also patches a workspace so that all of its tasks are instrumented.
//!
//! * [`source`]: the sources of dumps: a server, a socket, a file;
//! * [`show`]: tables, colours and the pager;
//! * [`own_frame`]: the program's own call of a stack;
//! * a module for each command.

mod diff;
mod flame;
mod graph;
mod locks;
mod own_frame;
mod patch;
mod pid;
mod record;
mod refusal;
mod shell;
mod show;
mod source;
mod stacks;
mod tasks;
mod threads;
mod top;
mod trace;
mod watch;

use clap::{ArgMatches, Command};
use std::process::ExitCode;

/// The function that runs a command.
type Run = fn(&ArgMatches) -> ExitCode;

/// The commands, in the order of the help.
const COMMANDS: [(fn() -> Command, Run); 18] = [
    (tasks::command, tasks::run),
    (stacks::command, stacks::run),
    (threads::command, threads::run),
    (locks::command, locks::run),
    (top::command, top::run),
    (watch::command, watch::run),
    (graph::command, graph::run),
    (diff::command, diff::run),
    (flame::command, flame::run),
    (trace::command, trace::run),
    (record::record_command, record::run_record),
    (record::open_command, record::run_open),
    (pid::command::pid, pid::command::run_pid),
    (pid::command::core, pid::command::run_core),
    (patch::command::patch, patch::command::run_patch),
    (patch::command::unpatch, patch::command::run_unpatch),
    (shell::completions, shell::run_completions),
    (shell::man, shell::run_man),
];

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 not done, or not from every source; 2 a wrong command line; 3 `diff --fail-if-grown`: a stack has grown.

Environment: RUNTIME_DUMP_URL is the source where none is given, RUNTIME_DUMP_TOKEN the token; PAGER shows what is longer than
the terminal; NO_COLOR takes colours away.";

fn main() -> ExitCode {
    let matches = command().get_matches();
    let (name, matches) = matches.subcommand().expect("clap asks for a command");
    let run = COMMANDS
        .iter()
        .find(|(command, _)| command().get_name() == name);
    run.expect("clap knows these only").1(matches)
}

pub(crate) fn command() -> Command {
    Command::new("runtime-dump")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Task dumps of tokio services")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(COMMANDS.iter().map(|(command, _)| command()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_holds_together() {
        super::command().debug_assert();
    }
}
