//! The remark above a block. Go's grammar has no place for its contents.
//!
//! ```text
//! # NAME, waiting 2.5s, polls 3, busy 20us, spawned at src/main.rs:12:9, NOTES
//! # 100 tasks, waiting 2m5s (goroutine 7), 3s (goroutine 9), ..., NOTES
//! # NAME, CPU 1.5ms, NOTES
//! ```

use super::duration::duration_ns;
use super::unquoted::take_name;
use crate::goroutine::State;

/// A parsed remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The name that the program gave the task or thread.
    pub name: Option<String>,
    /// The number of tasks of the block.
    pub count: u64,
    /// The state; `None` for a thread.
    pub state: Option<State>,
    /// Nanoseconds in that state.
    pub since_ns: Option<u64>,
    /// The number of polls, the current one included.
    pub polls: Option<u64>,
    /// Nanoseconds inside polls.
    pub busy_ns: Option<u64>,
    /// CPU time of a thread, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// The spawn location, `FILE:LINE:COLUMN`.
    pub spawned_at: Option<String>,
    /// The notes as text. A note may contain commas.
    pub notes: String,
}

impl Remark {
    /// Parses the line without its `# `. Returns `None` if the line is no remark on a block.
    pub fn parse(line: &str) -> Option<Self> {
        // A name may look like a state, so the forms with the most parts are tried first.
        let named = take_name(line).and_then(|(name, rest)| Some((name, rest.strip_prefix(", ")?)));
        let with_name = |read: fn(&str) -> Option<Self>| {
            let (name, rest) = named.as_ref()?;
            let remark = read(rest)?;
            Some(Self {
                name: Some(name.clone()),
                ..remark
            })
        };
        timed(line)
            .or_else(|| with_name(timed))
            .or_else(|| with_name(thread))
            .or_else(|| group(line))
            .or_else(|| untimed(line))
            .or_else(|| with_name(untimed))
    }

    fn new(state: Option<State>, rest: &str) -> Self {
        let rest = rest.strip_prefix(", ").unwrap_or(rest);
        let (spawned_at, notes) = match rest.strip_prefix("spawned at ") {
            // A path may contain commas. The column ends the location.
            Some(at) => match end_of_location(at) {
                Some(end) => (
                    Some(at[..end].to_owned()),
                    at[end..].strip_prefix(", ").unwrap_or_default(),
                ),
                None => (None, rest),
            },
            None => (None, rest),
        };
        Self {
            name: None,
            count: 1,
            state,
            since_ns: None,
            polls: None,
            busy_ns: None,
            cpu_ns: None,
            spawned_at,
            notes: notes.to_owned(),
        }
    }
}

/// Parses `waiting 2.5s, polls 3, busy 20us` and the rest.
fn timed(text: &str) -> Option<Remark> {
    let (state, rest) = state(text)?;
    let (since, rest) = rest.strip_prefix(' ')?.split_once(", polls ")?;
    let (polls, rest) = rest.split_once(", busy ")?;
    let (busy, rest) = rest.split_at(rest.find(", ").unwrap_or(rest.len()));
    Some(Remark {
        since_ns: Some(duration_ns(since)?),
        polls: Some(polls.parse().ok()?),
        busy_ns: Some(duration_ns(busy)?),
        ..Remark::new(Some(state), rest)
    })
}

/// Parses `CPU 1.5ms` or `CPU unknown`.
fn thread(text: &str) -> Option<Remark> {
    let rest = text.strip_prefix("CPU ")?;
    let (cpu, rest) = rest.split_at(rest.find(", ").unwrap_or(rest.len()));
    if cpu != "unknown" && duration_ns(cpu).is_none() {
        return None;
    }
    Some(Remark {
        cpu_ns: duration_ns(cpu),
        ..Remark::new(None, rest)
    })
}

/// Parses `100 tasks, waiting 2m5s (goroutine 7), 3s (goroutine 9), ...`, or without times `100 tasks, waiting
/// (goroutine 7, 9, ...)`.
fn group(text: &str) -> Option<Remark> {
    let (count, rest) = text.split_once(" tasks, ")?;
    let count = count.parse().ok()?;
    let (state, mut rest) = state(rest)?;
    let mut since_ns = None;
    if let Some(listed) = rest.strip_prefix(" (goroutine ") {
        rest = listed.split_once(')')?.1;
    } else if let Some(mut listed) = rest.strip_prefix(' ') {
        while let Some((since, behind)) = listed.split_once(" (goroutine ") {
            let (Some(ns), Some((id, behind))) = (duration_ns(since), behind.split_once(')'))
            else {
                break;
            };
            id.parse::<u64>().ok()?;
            since_ns = since_ns.or(Some(ns));
            rest = behind;
            listed = behind.strip_prefix(", ").unwrap_or_default();
        }
        since_ns?;
    }
    let rest = rest.strip_prefix(", ...").unwrap_or(rest);
    Some(Remark {
        count,
        since_ns,
        ..Remark::new(Some(state), rest)
    })
}

/// Parses `waiting` and the rest.
fn untimed(text: &str) -> Option<Remark> {
    let (state, rest) = state(text)?;
    (rest.is_empty() || rest.starts_with(", ")).then(|| Remark::new(Some(state), rest))
}

fn state(text: &str) -> Option<(State, &str)> {
    [State::Running, State::Runnable, State::Waiting]
        .into_iter()
        .find_map(|state| Some((state, text.strip_prefix(state.word())?)))
}

/// The end of `FILE:LINE:COLUMN` at the start of a text.
fn end_of_location(text: &str) -> Option<usize> {
    let ends = text.match_indices(", ").map(|(end, _)| end);
    ends.chain([text.len()]).find(|end| {
        let line = without_number(&text[..*end]).and_then(|rest| rest.strip_suffix(':'));
        line.and_then(without_number)
            .is_some_and(|file| file.ends_with(':'))
    })
}

/// The text before the number at its end.
fn without_number(text: &str) -> Option<&str> {
    let before = text.trim_end_matches(|c: char| c.is_ascii_digit());
    text[before.len()..].parse::<u32>().ok().map(|_| before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_ends_at_its_column() {
        for (text, end) in [
            ("src/a.rs:12:9, held", Some("src/a.rs:12:9")),
            ("src/a, b.rs:1:22", Some("src/a, b.rs:1:22")),
            ("a.rs:1, b.rs:2:3, c", Some("a.rs:1, b.rs:2:3")),
            ("a.rs:1", None),
            ("a.rs:99999999999:1", None),
            ("a.rs:1:", None),
        ] {
            assert_eq!(end_of_location(text).map(|at| &text[..at]), end, "{text}");
        }
    }

    #[test]
    fn each_form_is_read() {
        let remark = Remark::parse("\"conn 1\", waiting 2m5.5s, polls 3, busy 20us, spawned at src/a, b.rs:12:9, waits for a Mutex<A, B>, held").unwrap();
        assert_eq!(remark.name.as_deref(), Some("conn 1"));
        assert_eq!(
            (remark.since_ns, remark.polls, remark.busy_ns),
            (Some(125_500_000_000), Some(3), Some(20_000))
        );
        assert_eq!(remark.spawned_at.as_deref(), Some("src/a, b.rs:12:9"));
        assert_eq!(remark.notes, "waits for a Mutex<A, B>, held");

        let remark = Remark::parse(
            "100 tasks, waiting 2m5s (goroutine 7), 3s (goroutine 9), ..., spawned at a.rs:1:2",
        )
        .unwrap();
        assert_eq!(
            (remark.count, remark.since_ns),
            (100, Some(125_000_000_000))
        );
        assert_eq!(remark.spawned_at.as_deref(), Some("a.rs:1:2"));
        let remark = Remark::parse("2 tasks, running (goroutine 7, 9), in a loop").unwrap();
        assert_eq!(
            (remark.count, remark.since_ns, &*remark.notes),
            (2, None, "in a loop")
        );

        let remark = Remark::parse("tokio-rt-worker, CPU 1.5s, runtime a").unwrap();
        assert_eq!(
            (remark.cpu_ns, &*remark.notes),
            (Some(1_500_000_000), "runtime a")
        );
        let remark = Remark::parse("waiting, fires in 3.2s").unwrap();
        assert_eq!(
            (remark.state, &*remark.notes),
            (Some(State::Waiting), "fires in 3.2s")
        );
        let remark = Remark::parse("waiting, waiting 3s, polls 1, busy 0s").unwrap();
        assert_eq!(
            (remark.name.as_deref(), remark.polls),
            (Some("waiting"), Some(1))
        );
    }

    #[test]
    fn other_remarks_are_none() {
        for line in [
            "deadlock: two tasks",
            "9 of 100 tasks are not listed: 9",
            "100 tasks, ...",
            "",
        ] {
            assert_eq!(Remark::parse(line), None, "{line}");
        }
    }
}
