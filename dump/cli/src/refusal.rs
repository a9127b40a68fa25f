//! The reason why a command did nothing: a sentence for the user, with advice where possible.

use crate::show;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug)]
pub struct Refusal(String);

impl Refusal {
    pub fn new(sentence: impl Into<String>) -> Refusal {
        Refusal(sentence.into())
    }

    /// A refusal because of a file. `cannot` is the failed action, as in "cannot write".
    pub fn file(cannot: &str, path: &Path, error: &io::Error) -> Refusal {
        Refusal(format!("cannot {cannot} {}: {error}", path.display()))
    }

    /// Prints the refusal. Returns the exit code for it.
    pub fn told(&self) -> ExitCode {
        eprintln!("runtime-dump: {self}");
        ExitCode::FAILURE
    }

    /// The refusal with a consequence added.
    #[must_use]
    pub fn and(self, consequence: &str) -> Refusal {
        Refusal(format!("{}; {consequence}", self.0))
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints the result on standard output, or the refusal on standard error. Returns the exit code.
pub fn said(result: Result<String, Refusal>) -> ExitCode {
    match result {
        Ok(message) => {
            // If the reader has closed the pipe, no message is printed.
            show::line(&message);
            ExitCode::SUCCESS
        }
        Err(refusal) => refusal.told(),
    }
}
