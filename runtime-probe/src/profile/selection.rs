//! Selects the tasks that a dump shows, their number, and the form of names.
//!
//! Patterns are those of regex-lite, a small crate without dependencies. `regex` is four crates that take longer to
//! compile than the probe. Searches are linear in pattern and text, so no pattern makes a dump hang. Names of functions
//! do not need the speed on long texts and the Unicode classes of `regex`.

use super::condensed::Crates;
use super::doing::{Does, Doing};
use crate::symbol::name::Names;
use crate::symbol::reason::{self, Reason};
use regex_lite::{Regex, RegexBuilder};
use runtime_dump::goroutine::State;
use std::collections::HashMap;
use std::fmt::Write;

/// The most bytes of a pattern.
const LONGEST_PATTERN: usize = 256;

/// The most bytes of a compiled pattern. A literal of [`LONGEST_PATTERN`] takes a quarter of it. The time of a search
/// is proportional to it: the names of a large program (20,000 of 60 characters, or as many names of tasks) take
/// seconds in the worst case.
const LARGEST_PATTERN: usize = 32 << 10;

/// A selection of tasks. The default is all tasks, with short names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pattern: Option<Regex>,
    min_wait_ns: u64,
    /// The wanted states; empty for any.
    states: Vec<Wanted>,
    /// A key, and the value if one is asked for.
    label: Option<(String, Option<String>)>,
    /// The filters as the user gave them.
    words: Vec<String>,
    /// The most entries of a dump: tasks, or stacks in the forms that list stacks.
    pub(crate) limit: Option<usize>,
    /// Keeps the frames of these crates only, and the innermost one.
    pub(crate) crates: Crates,
    /// Whether the text shows all frames of servers' layers.
    pub(crate) all_frames: bool,
    /// The form of function names.
    pub(crate) names: Names,
    /// Leaves out closures of the blocking pool, which may last long.
    pub(crate) without_closures: bool,
    /// Does not decode the stacks of foreign tasks.
    #[cfg_attr(not(feature = "decode"), allow(dead_code))]
    pub(crate) without_decoding: bool,
    /// Reads the futures of all waiting tasks, not only of foreign ones.
    #[cfg_attr(not(feature = "decode"), allow(dead_code))]
    pub(crate) reads_futures: bool,
    /// The task that comes first, regardless of the order.
    pub(crate) first: Option<u64>,
    /// Wakes tasks whose stacks leave open where they wait.
    pub(crate) fresh: bool,
    /// How leaked tasks are shown.
    pub(crate) leaks: Leaks,
    /// Polls of at least so many nanoseconds are slow; [`SLOW_NS`] by default.
    slow_ns: Option<u64>,
}

/// tokio's rule of thumb is that a poll takes at most 10 to 100 us. This is a thousand times as long.
const SLOW_NS: u64 = 100_000_000;

/// How a dump shows leaked tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leaks {
    /// Like all other tasks.
    #[default]
    Among,
    /// Among the others, with a mark.
    Marked,
    /// Leaked tasks only.
    Only,
}

/// The words for closures: `blocking` selects all, `queued` those that wait for a thread.
const CLOSURES: [(&str, Wanted); 2] = [
    ("blocking", Wanted::Closures),
    ("queued", Wanted::QueuedClosures),
];

/// A state that the user named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All tasks in this state.
    State(State),
    /// Tasks that wait for this reason.
    Reason(Reason),
    Closures,
    QueuedClosures,
}

impl Selection {
    /// Selects the tasks in whose name, functions, spawning function or spawn location (`FILE:LINE:COLUMN`) the regular
    /// expression is found.
    ///
    /// # Errors
    /// The error in the expression.
    pub(crate) fn matching(&mut self, pattern: &str) -> Result<(), String> {
        if pattern.len() > LONGEST_PATTERN {
            return Err(format!("must not be longer than {LONGEST_PATTERN} bytes"));
        }
        let regex = RegexBuilder::new(pattern)
            .size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|error| format!("not a regular expression: {error}"))?;
        self.pattern = Some(regex);
        self.words.push(format!("match={}", pattern.escape_debug()));
        Ok(())
    }

    /// Selects the tasks that have been in their state for at least so many nanoseconds; `text` is the user's
    /// parameter.
    pub(crate) fn waiting_for(&mut self, min_wait_ns: u64, text: &str) {
        self.min_wait_ns = min_wait_ns;
        self.words.push(format!("minwait={}", text.escape_debug()));
    }

    /// Sets from how many nanoseconds on a poll is slow.
    pub(crate) fn slow_from(&mut self, ns: u64) {
        self.slow_ns = Some(ns);
    }

    /// Whether a poll that has lasted so many nanoseconds is slow.
    pub(crate) fn is_slow(&self, ns: u64) -> bool {
        ns >= self.slow_ns.unwrap_or(SLOW_NS)
    }

    /// Selects the tasks in one of the states of a list separated by commas: `running`, `runnable`, `waiting`, or a
    /// wait reason as in the headers. Case does not matter.
    ///
    /// # Errors
    /// The word that is no state.
    pub(crate) fn in_states(&mut self, list: &str) -> Result<(), String> {
        for word in list.split(',') {
            let wanted = Wanted::named(word.trim()).ok_or_else(|| {
                let reasons: Vec<&str> = reason::reasons().iter().map(|one| one.text()).collect();
                format!(
                    "{:?} is none of running, runnable, waiting, {}, {}",
                    word.trim().chars().take(40).collect::<String>(),
                    CLOSURES.map(|(word, _)| word).join(", "),
                    reasons.join(", ")
                )
            })?;
            // Repeated states are left out, because each task is compared with all of them.
            if !self.states.contains(&wanted) {
                self.states.push(wanted);
            }
        }
        self.words.push(format!("state={}", list.escape_debug()));
        Ok(())
    }

    /// Selects the tasks with the label `KEY=VALUE`, or with any value of `KEY`.
    ///
    /// # Errors
    /// The expected form.
    pub(crate) fn labelled(&mut self, text: &str) -> Result<(), &'static str> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err("must be KEY or KEY=VALUE");
        }
        self.label = Some((key.to_owned(), value));
        self.words.push(format!("label={}", text.escape_debug()));
        Ok(())
    }

    /// Whether a task with these labels is selected.
    pub(crate) fn wants_labels(&self, labels: &[(&str, &str)]) -> bool {
        self.label.as_ref().is_none_or(|(key, wanted)| {
            labels.iter().any(|(known, value)| {
                known == key && wanted.as_ref().is_none_or(|wanted| wanted == value)
            })
        })
    }

    /// Whether the selection depends on labels.
    pub(crate) fn is_by_label(&self) -> bool {
        self.label.is_some()
    }

    /// The filters as text; `None` if all tasks are selected.
    pub(crate) fn filters(&self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.join(", "))
    }

    /// Whether a task is selected by what it does and for how long.
    pub(crate) fn wants(&self, doing: &Doing, since_ns: u64) -> bool {
        let is_wanted = |wanted: &Wanted| match *wanted {
            Wanted::State(state) => doing.does.state() == state,
            Wanted::Reason(reason) => doing.waits_for(reason),
            Wanted::Closures => matches!(doing.does, Does::Blocking | Does::Queued),
            Wanted::QueuedClosures => doing.does == Does::Queued,
        };
        since_ns >= self.min_wait_ns
            && (self.states.is_empty() || self.states.iter().any(is_wanted))
    }

    /// A search for the pattern; `None` without a pattern.
    pub(crate) fn finder(&self) -> Option<Finder<'_>> {
        self.pattern.as_ref().map(|pattern| Finder {
            pattern,
            known: HashMap::new(),
        })
    }
}

impl Wanted {
    fn named(word: &str) -> Option<Wanted> {
        let states = [State::Running, State::Runnable, State::Waiting];
        let state = states
            .into_iter()
            .find(|state| state.word().eq_ignore_ascii_case(word));
        let reasons = || {
            let reasons = reason::reasons().iter();
            reasons.map(|reason| (reason.text(), Wanted::Reason(*reason)))
        };
        let other = || {
            let mut others = reasons().chain(CLOSURES);
            others.find(|(text, _)| text.eq_ignore_ascii_case(word))
        };
        state
            .map(Wanted::State)
            .or_else(|| other().map(|(_, wanted)| wanted))
    }
}

/// Searches texts for the pattern, each distinct text once: stacks share most of their functions.
pub(crate) struct Finder<'s> {
    pattern: &'s Regex,
    known: HashMap<String, bool>,
}

impl Finder<'_> {
    /// Whether the pattern is found in `text`.
    pub(crate) fn finds(&mut self, text: &str) -> bool {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let found = self.pattern.is_match(text);
        self.known.insert(text.to_owned(), found);
        found
    }
}

/// A number with separators: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn does(does: Does) -> Doing {
        Doing::of(does)
    }

    fn states(list: &str) -> Result<Selection, String> {
        let mut selection = Selection::default();
        selection.in_states(list).map(|()| selection)
    }

    #[test]
    fn a_label_is_a_key_or_a_key_and_its_value() {
        let wants = |text: &str, labels: &[(&str, &str)]| {
            let mut selection = Selection::default();
            selection.labelled(text).unwrap();
            selection.wants_labels(labels)
        };
        let labels = [("query", "a=b"), ("tenant", "acme")];
        for (text, wanted) in [
            ("tenant", true),
            ("tenant=acme", true),
            ("tenant=", false),
            ("tenant=acm", false),
            ("query=a=b", true),
            ("acme", false),
        ] {
            assert_eq!(wants(text, &labels), wanted, "{text}");
            assert!(!wants(text, &[]));
        }
        assert!(Selection::default().wants_labels(&[]));
        assert!(Selection::default().labelled("=x").is_err());
    }

    #[test]
    fn a_state_is_a_word_or_a_reason() {
        let selection = states("Running, io wait").unwrap();
        assert!(selection.wants(&does(Does::Blocking), 0));
        assert!(selection.wants(&does(Does::WaitsFor(Reason::Io)), 0));
        assert!(!selection.wants(&does(Does::WaitsFor(Reason::Sleep)), 0));
        let selection = states("waiting").unwrap();
        assert!(selection.wants(&does(Does::WaitsFor(Reason::Sleep)), 0));
        assert!(!selection.wants(&does(Does::Runnable), 0));
        let closures = states("blocking").unwrap();
        assert!(closures.wants(&does(Does::Blocking), 0));
        assert!(closures.wants(&does(Does::Queued), 0));
        assert!(!states("queued").unwrap().wants(&does(Does::Blocking), 0));
        for wrong in ["", "slep", "running,", "wait ing"] {
            let error = states(wrong).unwrap_err();
            assert!(
                error
                    .contains("is none of running, runnable, waiting, blocking, queued, IO wait, "),
                "{error}"
            );
        }
    }

    #[test]
    fn a_state_counts_once_however_often_it_is_named() {
        let selection = states("running,sleep,".repeat(500).trim_end_matches(',')).unwrap();
        assert_eq!(selection.states.len(), 2);
    }

    #[test]
    fn nothing_is_left_out_unless_asked_for() {
        let mut selection = Selection::default();
        assert_eq!(selection.filters(), None);
        assert!(selection.finder().is_none());
        assert!(selection.wants(&does(Does::Runnable), 0));
        selection.waiting_for(10, "10ns");
        assert!(!selection.wants(&does(Does::WaitsFor(Reason::Sleep)), 9));
        assert!(selection.wants(&does(Does::WaitsFor(Reason::Sleep)), 10));
        selection.matching("a\nb").unwrap();
        assert_eq!(
            selection.filters().as_deref(),
            Some("minwait=10ns, match=a\\nb")
        );
    }

    #[test]
    fn patterns_are_found_anywhere_and_bounded() {
        let mut selection = Selection::default();
        selection.matching("db::(get|put)_conn$").unwrap();
        let mut finder = selection.finder().unwrap();
        for _ in 0..2 {
            assert!(finder.finds("app::db::get_conn"));
            assert!(!finder.finds("app::db::get_connection"));
        }
        for (pattern, reason) in [
            ("a".repeat(257), "must not be longer than 256 bytes"),
            ("(".to_owned(), "not a regular expression: "),
            (
                "((a{100}){100}){100}".to_owned(),
                "not a regular expression: ",
            ),
            (
                "(".repeat(128) + &")".repeat(128),
                "not a regular expression: ",
            ),
        ] {
            let error = Selection::default().matching(&pattern).unwrap_err();
            assert!(error.starts_with(reason), "{pattern}: {error}");
        }
        Selection::default().matching(&"a".repeat(256)).unwrap();
        Selection::default()
            .matching(&"[a-z0-9_]+".repeat(25))
            .unwrap();
    }

    #[test]
    fn the_slowest_pattern_is_bearable() {
        let mut selection = Selection::default();
        selection.matching(&"(a?b?c?)*".repeat(28)).unwrap();
        let mut finder = selection.finder().unwrap();
        let began = std::time::Instant::now();
        for number in 0..100 {
            finder.finds(&format!("{}{number}", "abcabdacd".repeat(7)));
        }
        // 20,000 such names are 200 times as much; this is a hundredth of a minute, in a build without optimization.
        let took = began.elapsed();
        assert!(took.as_millis() < 600, "{took:?}");
    }

    #[test]
    fn numbers_have_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
