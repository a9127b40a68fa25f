//! Why nothing was done: a sentence for the user, with what to do about it where that is known.

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

    /// Argument: what was done to the file, as in "cannot write".
    pub fn file(cannot: &str, path: &Path, error: &io::Error) -> Refusal {
        Refusal(format!("cannot {cannot} {}: {error}", path.display()))
    }

    /// Tells it; the exit code that goes with it.
    pub fn told(&self) -> ExitCode {
        eprintln!("runtime-dump: {self}");
        ExitCode::FAILURE
    }

    /// The same, and what is the case now.
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

/// Says on standard output what was done, or on standard error why it was not; the exit code that goes with it.
pub fn said(result: Result<String, Refusal>) -> ExitCode {
    match result {
        Ok(message) => {
            // A reader that has closed the pipe needs no message.
            show::line(&message);
            ExitCode::SUCCESS
        }
        Err(refusal) => refusal.told(),
    }
}
