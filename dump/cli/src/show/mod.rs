//! The output for people: colours on a terminal, a pager for text that does not fit on it, tables.

pub(crate) mod block;
pub(crate) mod inline;
pub(crate) mod markup;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, IsTerminal, Write};
use std::process::{Command, ExitCode, Stdio};

/// Writes text to standard output, through a pager if standard output is a terminal and the text does not fit on it.
/// `is_whole` is false if a part of the requested text is missing; the exit code is that of a failure then.
pub(crate) fn print(text: &str, is_whole: bool) -> ExitCode {
    let code = if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    let stdout = io::stdout();
    let rows = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_row));
    if stdout.is_terminal() && rows > 0 && text.lines().count() >= rows && through_pager(text) {
        return code;
    }
    match stdout.lock().write_all(text.as_bytes()) {
        Ok(()) => code,
        // If the reader has closed the pipe, the rest is dropped.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            eprintln!("runtime-dump: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard output. Returns whether it could be written.
pub(crate) fn line(text: &str) -> bool {
    let mut stdout = io::stdout();
    writeln!(stdout, "{text}").is_ok() && stdout.flush().is_ok()
}

/// Shows a text in a pager. Returns whether the pager could be started.
fn through_pager(text: &str) -> bool {
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    let mut words = pager.split_whitespace();
    let Some(program) = words.next() else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // The options keep colours and the screen, cut long lines, and quit if the text fits on one screen.
        command.env("LESS", "-FRSX");
    }
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(text.as_bytes());
    }
    child.wait().is_ok()
}
