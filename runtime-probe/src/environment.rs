//! The environment variables of the probe, and the complaints about their values.
//!
//! A value that cannot be used, or an unknown name, gives one line on standard error and one on the index page. The
//! application runs on.

use crate::primitive;
use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once};

/// A variable.
#[derive(Debug)]
pub(crate) struct Variable {
    name: &'static str,
    /// The variable without which this one has no effect.
    needs: Option<&'static Variable>,
}

pub(crate) static SWITCH: Variable = Variable::new("RUNTIME_PROBE");
pub(crate) static LISTEN: Variable = Variable::new("RUNTIME_PROBE_LISTEN");
pub(crate) static TOKEN: Variable = Variable::new("RUNTIME_PROBE_TOKEN").needs(&LISTEN);
pub(crate) static BLOCK_RATE: Variable = Variable::new("RUNTIME_PROBE_BLOCK_RATE");
pub(crate) static MUTEX_FRACTION: Variable = Variable::new("RUNTIME_PROBE_MUTEX_FRACTION");
pub(crate) static MEM_RATE: Variable = Variable::new("RUNTIME_PROBE_MEM_RATE");
pub(crate) static TASK_HISTOGRAMS: Variable = Variable::new("RUNTIME_PROBE_TASK_HISTOGRAMS");
pub(crate) static WATCHDOG: Variable = Variable::new("RUNTIME_PROBE_WATCHDOG");
pub(crate) static WATCHDOG_DIR: Variable =
    Variable::new("RUNTIME_PROBE_WATCHDOG_DIR").needs(&WATCHDOG);
pub(crate) static SIGQUIT: Variable = Variable::new("RUNTIME_PROBE_SIGQUIT");
pub(crate) static DEBUG_FILE: Variable = Variable::new("RUNTIME_PROBE_DEBUG_FILE");
pub(crate) static FLIGHT_RECORDER: Variable = Variable::new("RUNTIME_PROBE_FLIGHT_RECORDER");
pub(crate) static DEBUG: Variable = Variable::new("RUNTIME_PROBE_DEBUG");
pub(crate) static SIGNAL: Variable = Variable::new("RUNTIME_PROBE_SIGNAL");

static ALL: [&Variable; 14] = [
    &SWITCH,
    &LISTEN,
    &TOKEN,
    &BLOCK_RATE,
    &MUTEX_FRACTION,
    &MEM_RATE,
    &TASK_HISTOGRAMS,
    &WATCHDOG,
    &WATCHDOG_DIR,
    &SIGQUIT,
    &FLIGHT_RECORDER,
    &DEBUG,
    &DEBUG_FILE,
    &SIGNAL,
];

/// The prefix of all names but [`SWITCH`]'s.
const PREFIX: &str = "RUNTIME_PROBE_";

/// The most characters of a name or a value that are shown.
const SHOWN: usize = 200;

impl Variable {
    const fn new(name: &'static str) -> Variable {
        Variable { name, needs: None }
    }

    const fn needs(self, other: &'static Variable) -> Variable {
        Variable {
            needs: Some(other),
            ..self
        }
    }

    /// The value. An empty value counts as not set.
    pub(crate) fn value(&self) -> Option<OsString> {
        self.value_or_empty().filter(|value| !value.is_empty())
    }

    /// The value if the variable is set, also if it is empty.
    pub(crate) fn value_or_empty(&self) -> Option<OsString> {
        env::var_os(self.name)
    }

    #[cfg(feature = "rt")]
    /// The value as a number. Other values are refused; `expected` follows the word "not" in that message.
    pub(crate) fn number(&self, expected: &str) -> Option<u32> {
        let value = self.value()?;
        let number = value.to_str().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.refuse(format_args!("not {expected}"));
        }
        number
    }

    /// Complains that the value cannot be used.
    pub(crate) fn refuse(&self, reason: impl Display) {
        let value = self.value_or_empty().unwrap_or_default();
        complain(format!(
            "{}={}: {reason}",
            self.name,
            shown(&value.to_string_lossy())
        ));
    }
}

/// Whether the probe is switched on.
pub(crate) fn is_on() -> bool {
    let Some(value) = SWITCH.value() else {
        return true;
    };
    match value.to_string_lossy().to_ascii_lowercase().as_str() {
        "off" | "0" | "false" | "no" => false,
        "on" | "1" | "true" | "yes" => true,
        _ => {
            SWITCH.refuse("neither on nor off; the probe stays on");
            true
        }
    }
}

/// Complains about unknown names and about variables that have no effect, once.
pub(crate) fn check() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) && !ALL.iter().any(|known| known.name == name) {
                complain(unknown(&name));
            }
        }
        for variable in ALL {
            if let Some(needed) = variable.needs
                && variable.value().is_some()
                && needed.value().is_none()
            {
                complain(format!(
                    "{} has no effect without {}",
                    variable.name, needed.name
                ));
            }
        }
    });
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = ALL
        .iter()
        .filter_map(|known| known.name.strip_prefix(PREFIX))
        .collect();
    format!(
        "{} is not known: behind {PREFIX} stands one of {}",
        shown(name),
        known.join(", ")
    )
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

static COMPLAINTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<String>> {
    primitive::lock(&COMPLAINTS)
}

/// The most complaints that are kept and printed.
const MOST: usize = 64;

/// Prints a complaint, once, and keeps it for the index page.
pub(crate) fn complain(line: String) {
    let line = in_one_line(&line);
    let mut complaints = lock();
    if complaints.len() < MOST && !complaints.contains(&line) {
        say(&line);
        complaints.push(line);
    }
}

/// The complaints so far.
pub(crate) fn complaints() -> Vec<String> {
    lock().clone()
}

/// Writes a line to standard error, which may be closed; eprintln would panic then.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "runtime-probe: {}", in_one_line(line));
}

fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// Names in a text.
    fn names(text: &str) -> BTreeSet<&str> {
        text.match_indices("RUNTIME_PROBE")
            .map(|(at, _)| {
                let rest = &text[at..];
                let end = rest.find(|c: char| c != '_' && !c.is_ascii_uppercase());
                rest[..end.unwrap_or(rest.len())].trim_end_matches('_')
            })
            .collect()
    }

    #[test]
    fn every_variable_is_documented_and_no_other() {
        let known: BTreeSet<&str> = ALL.iter().map(|variable| variable.name).collect();
        for file in ["docs/environment.md", "src/lib.rs"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let text = fs::read_to_string(path).unwrap();
            assert_eq!(names(&text), known, "{file}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_told_with_those_that_are() {
        let line = unknown("RUNTIME_PROBE_WATCHDOGS");
        assert!(line.starts_with("RUNTIME_PROBE_WATCHDOGS is not known"));
        assert!(
            line.contains("LISTEN, TOKEN") && line.ends_with("SIGNAL"),
            "{line}"
        );
        assert!(unknown(&"x".repeat(5000)).len() < 500);
    }

    #[test]
    fn a_complaint_is_made_once_and_in_one_line() {
        for _ in 0..2 {
            complain("one\nline".to_owned());
        }
        let made = complaints();
        assert_eq!(made.iter().filter(|line| *line == "one?line").count(), 1);
    }
}
