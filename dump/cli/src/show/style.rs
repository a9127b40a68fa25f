//! Colours, on a terminal only.

use std::fmt::Display;
use std::io::IsTerminal;

use runtime_dump::printable::is_printable;

/// The colours of the output: all or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    is_on: bool,
}

impl Style {
    /// The style of standard output.
    pub(crate) fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        Self {
            is_on: wanted && able && std::io::stdout().is_terminal(),
        }
    }

    #[cfg(test)]
    pub(crate) const NONE: Self = Self { is_on: false };

    /// Emphasizes text that readers look for first.
    pub(crate) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// The line above what belongs to one of several sources.
    pub(crate) fn heading(self, source: impl Display) -> String {
        format!("{}\n", self.strong(&format!("==> {source} <==")))
    }

    /// Dims text of a library.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Marks an error.
    pub(crate) fn alarm(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Marks a header.
    pub(crate) fn header(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.is_on {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Replaces the characters of a text that a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_printable(c) { c } else { '?' })
        .collect()
}

/// Replaces the characters of several lines that a terminal would act on, tabs excepted.
pub(crate) fn printable_lines(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_printable(c) || matches!(c, '\n' | '\t') {
                c
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_a_terminal_acts_on_is_printed() {
        assert_eq!(printable("a\u{1b}[1mb\nc\u{202e}d é"), "a?[1mb?c?d é");
        assert_eq!(printable_lines("a\u{1b}b\n\tc\u{2066}d"), "a?b\n\tc?d");
    }
}
