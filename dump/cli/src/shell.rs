//! `completions` and `man`: the command line, described for shells and readers.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn completions() -> Command {
    Command::new("completions")
        .about("Prints completions for a shell")
        .after_help("bash: runtime-dump completions bash > ~/.local/share/bash-completion/completions/runtime-dump")
        .arg(Arg::new("SHELL").required(true).value_parser(value_parser!(Shell)).help("The shell"))
}

pub(crate) fn man() -> Command {
    Command::new("man")
        .about("Prints the manual page, of the command or of one of its commands")
        .after_help("runtime-dump man > runtime-dump.1; runtime-dump man watch | man -l -")
        .arg(Arg::new("COMMAND").help("One of the commands"))
}

pub(crate) fn run_completions(matches: &ArgMatches) -> ExitCode {
    let shell: Shell = *matches.get_one("SHELL").expect("clap asks for it");
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut crate::command(), "runtime-dump", &mut text);
    printed(&text)
}

pub(crate) fn run_man(matches: &ArgMatches) -> ExitCode {
    let mut command = crate::command();
    command.build();
    let (page, title) = match matches.get_one::<String>("COMMAND") {
        None => (command, "runtime-dump".to_owned()),
        Some(name) => match command.find_subcommand(name) {
            // The title is the name of the subcommand's man page.
            Some(found) => (found.clone(), format!("runtime-dump-{name}")),
            None => {
                return crate::refusal::Refusal::new(format!("there is no command {name}")).told();
            }
        },
    };
    let mut text = Vec::new();
    match clap_mangen::Man::new(page).title(title).render(&mut text) {
        Ok(()) => printed(&text),
        Err(error) => crate::refusal::Refusal::new(error.to_string()).told(),
    }
}

/// Prints a text. If the reader has closed the pipe, the rest is dropped.
fn printed(text: &[u8]) -> ExitCode {
    let _ = io::stdout().lock().write_all(text);
    ExitCode::SUCCESS
}
