//! Which tasks a dump shows, how many of them, and under which names.
//!
//! Patterns are regex-lite's: one small crate without dependencies, where `regex` is four that together compile for
//! longer than the probe. Its searches are linear in pattern and text, so no pattern makes a dump hang. What it lacks (speed on
//! long texts, Unicode classes) the names of functions do not need.

use super::condensed::Crates;
use super::doing::{Does, Doing};
use crate::symbol::name::Names;
use crate::symbol::reason::{self, Reason};
use regex_lite::{Regex, RegexBuilder};
use runtime_dump::goroutine::State;
use std::collections::HashMap;
use std::fmt::Write;

/// A pattern that a user types is shorter.
const LONGEST_PATTERN: usize = 256;

/// What a pattern may take compiled, in bytes: a literal of [`LONGEST_PATTERN`] takes a quarter of it. A search takes time
/// proportional to this; the names of a large program, 20,000 of 60 characters, then take seconds at the very worst, and so
/// do as many tasks with names of their own.
const LARGEST_PATTERN: usize = 32 << 10;

/// Which tasks, how many, under which names. The default is all of them, under short ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pattern: Option<Regex>,
    min_wait_ns: u64,
    /// Empty: any.
    states: Vec<Wanted>,
    /// A key, and its value if that matters, too.
    label: Option<(String, Option<String>)>,
    /// The filters as the user gave them.
    words: Vec<String>,
    /// The most entries of a dump: tasks, or stacks where those are what it lists.
    pub(crate) limit: Option<usize>,
    /// Only frames of these crates, and what is waited for.
    pub(crate) crates: Crates,
    /// Whether the text shows all frames of servers' layers.
    pub(crate) all_frames: bool,
    /// How functions are named.
    pub(crate) names: Names,
    /// Leaves out closures of the blocking pool, which are there to last.
    pub(crate) without_closures: bool,
    /// Leaves foreign tasks without the stacks that decoding finds.
    #[cfg_attr(not(feature = "decode"), allow(dead_code))]
    pub(crate) without_decoding: bool,
    /// The task that comes first, whatever the others do.
    pub(crate) first: Option<u64>,
    /// Wakes tasks of which the dump would not tell where they wait.
    pub(crate) fresh: bool,
    /// What becomes of tasks that can never go on.
    pub(crate) leaks: Leaks,
    /// Polls that take longer than so many nanoseconds are slow; [`SLOW_NS`] by default.
    slow_ns: Option<u64>,
}

/// tokio's rule of thumb is that a poll should take no longer than 10 to 100 us; this is a thousand times as long.
const SLOW_NS: u64 = 100_000_000;

/// What a dump does with tasks that can never go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leaks {
    /// Shows them as all others.
    #[default]
    Among,
    /// The same, with a mark.
    Marked,
    /// Shows no others.
    Only,
}

/// What the brackets have of closures: `blocking` of all, `queued` also of those that no thread has taken.
const CLOSURES: [(&str, Wanted); 2] = [
    ("blocking", Wanted::Closures),
    ("queued", Wanted::QueuedClosures),
];

/// A state that the user named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All tasks in it, whatever for.
    State(State),
    /// Tasks that wait for that.
    Reason(Reason),
    Closures,
    QueuedClosures,
}

impl Selection {
    /// Only tasks with a name, a function in their stack, a spawning function or a spawn location (`FILE:LINE:COLUMN`) in
    /// which the regular expression is found.
    ///
    /// # Errors
    /// What is wrong with the expression.
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

    /// Only tasks that have been in their state for at least so many nanoseconds; `text` is how the user said it.
    pub(crate) fn waiting_for(&mut self, min_wait_ns: u64, text: &str) {
        self.min_wait_ns = min_wait_ns;
        self.words.push(format!("minwait={}", text.escape_debug()));
    }

    /// Which polls are said to be slow, in nanoseconds.
    pub(crate) fn slow_from(&mut self, ns: u64) {
        self.slow_ns = Some(ns);
    }

    /// Whether a poll that has lasted so many nanoseconds is slow.
    pub(crate) fn is_slow(&self, ns: u64) -> bool {
        ns >= self.slow_ns.unwrap_or(SLOW_NS)
    }

    /// Only tasks in one of the states of a list with commas: `running`, `runnable`, `waiting`, or a wait reason as the
    /// headers have it. Case does not matter.
    ///
    /// # Errors
    /// Which word is none of them.
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
            // Each task is compared with all of them.
            if !self.states.contains(&wanted) {
                self.states.push(wanted);
            }
        }
        self.words.push(format!("state={}", list.escape_debug()));
        Ok(())
    }

    /// Only tasks with the label `KEY=VALUE`, or with any value of `KEY`.
    ///
    /// # Errors
    /// What it must be.
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

    /// Whether a task with these labels is wanted.
    pub(crate) fn wants_labels(&self, labels: &[(&str, &str)]) -> bool {
        self.label.as_ref().is_none_or(|(key, wanted)| {
            labels.iter().any(|(known, value)| {
                known == key && wanted.as_ref().is_none_or(|wanted| wanted == value)
            })
        })
    }

    /// Whether labels matter.
    pub(crate) fn is_by_label(&self) -> bool {
        self.label.is_some()
    }

    /// The filters in words; `None` if all tasks are wanted.
    pub(crate) fn filters(&self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.join(", "))
    }

    /// Whether a task that does that, for so many nanoseconds, is wanted.
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

    /// Looks for the pattern in texts; `None` if there is none to look for.
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

/// Looks for the pattern, in each distinct text once: stacks share most of their functions.
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

/// A number as people read it: `1,234,567`.
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
