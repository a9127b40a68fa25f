//! Why a request is refused: a status and a sentence.
//!
//! One type for the parser, the checks and the handlers: every error of a request goes to its client, as a sentence
//! and nothing more. An error enum for each stage was rejected: only the client reads it.

use std::borrow::Cow;
use std::fmt;

/// A status of 400 or more, and the sentence that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    sentence: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with any status.
    pub fn new(status: u16, sentence: impl Into<Cow<'static, str>>) -> Self {
        Refusal {
            status,
            sentence: sentence.into(),
        }
    }

    /// `400 Bad Request`.
    pub fn bad_request(sentence: impl Into<Cow<'static, str>>) -> Self {
        Refusal::new(400, sentence)
    }

    /// Two parameters that contradict each other, in Go's words.
    pub fn incompatible(one: &str, other: &str) -> Self {
        Refusal::bad_request(format!("{one} and {other} params are incompatible"))
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The sentence, without a line break at its end.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Refusal {}
