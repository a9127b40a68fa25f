//! The ends of other tasks that a task waits for, from its notes.
//!
//! ```text
//! waits for goroutine 431 (audit_books) to end
//! waits for one of 7 tasks of a JoinSet to end: goroutine 17 (worker), goroutine 18 (worker), 5 more
//! waits for the task of a JoinSet to end: goroutine 17
//! ```

use crate::goroutine::{Join, JoinedTask};

/// Parses the joins in [`Remark::notes`](super::remark::Remark::notes). A name comes from the program, and may contain
/// any character. The notes do not quote names.
///
/// ```
/// let joins = runtime_dump::parse::joins::joins("on a thread, waits for goroutine 431 (audit_books) to end");
/// assert_eq!((joins[0].members, joins[0].tasks[0].id), (None, 431));
/// assert_eq!(joins[0].tasks[0].name.as_deref(), Some("audit_books"));
/// ```
pub fn joins(notes: &str) -> Vec<Join> {
    let mut joins = Vec::new();
    let mut rest = notes;
    while let Some((before, text)) = rest.split_once("waits for ") {
        let begins = before.is_empty() || before.ends_with(", ");
        rest = match join(text).filter(|_| begins) {
            Some((join, behind)) => {
                joins.push(join);
                behind
            }
            None => text,
        };
    }
    joins
}

/// Parses the text after `waits for `. Returns the join and the remaining text.
fn join(text: &str) -> Option<(Join, &str)> {
    let Some((members, rest)) = members(text) else {
        let (task, rest) = task(text, &[" to end"])?;
        let join = Join {
            members: None,
            tasks: vec![task],
        };
        return Some((join, rest.strip_prefix(" to end")?));
    };
    let mut tasks = Vec::new();
    let mut rest = rest;
    while let Some((task, behind)) = task(rest, &[", "]) {
        tasks.push(task);
        rest = behind;
        match behind.strip_prefix(", ") {
            Some(behind) if behind.starts_with(GOROUTINE) => rest = behind,
            _ => break,
        }
    }
    let join = Join {
        members: Some(members),
        tasks,
    };
    Some((join, rest))
}

const GOROUTINE: &str = "goroutine ";

/// Parses the number of tasks of a set. Returns the number and the text after the colon.
fn members(text: &str) -> Option<(u64, &str)> {
    if let Some(rest) = text.strip_prefix("the task of a JoinSet to end: ") {
        return Some((1, rest));
    }
    let (count, rest) = text
        .strip_prefix("one of ")?
        .split_once(" tasks of a JoinSet to end: ")?;
    Some((count.replace(',', "").parse().ok()?, rest))
}

/// Parses `goroutine 431 (audit_books)`, before one of `ends` or the end of the text.
fn task<'t>(text: &'t str, ends: &[&str]) -> Option<(JoinedTask, &'t str)> {
    let text = text.strip_prefix(GOROUTINE)?;
    let (id, rest) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let id = id.parse().ok()?;
    let Some(named) = rest.strip_prefix(" (") else {
        return Some((JoinedTask { id, name: None }, rest));
    };
    let end = end_of_name(named, ends)?;
    let name = Some(named[..end].to_owned());
    Some((JoinedTask { id, name }, &named[end + 1..]))
}

/// The index of the parenthesis that closes a name: the one that matches the opening one, or else the first before one
/// of `ends`. Names of types contain parentheses.
fn end_of_name(text: &str, ends: &[&str]) -> Option<usize> {
    let closes = |at: &usize| {
        let rest = &text[at + 1..];
        rest.is_empty() || ends.iter().any(|end| rest.starts_with(end))
    };
    let mut depth = 0_usize;
    let balanced = text.bytes().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return true,
            b')' => depth -= 1,
            _ => {}
        }
        false
    });
    let mut all = text.match_indices(')').map(|(at, _)| at);
    balanced.filter(closes).or_else(|| all.find(closes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task as id and name.
    type Named = (u64, Option<String>);

    fn read(notes: &str) -> Vec<(Option<u64>, Vec<Named>)> {
        let joins = joins(notes).into_iter();
        joins
            .map(|join| {
                let tasks = join.tasks.into_iter();
                (
                    join.members,
                    tasks.map(|task| (task.id, task.name)).collect(),
                )
            })
            .collect()
    }

    fn named(id: u64, name: &str) -> Named {
        (id, Some(name.to_owned()))
    }

    #[test]
    fn each_form_is_read() {
        assert_eq!(
            read("runtime a, waits for goroutine 4 (app::audit) to end, with a time-out"),
            [(None, vec![named(4, "app::audit")])]
        );
        assert_eq!(
            read("waits for goroutine 4 to end, waits for goroutine 5 (b) to end"),
            [(None, vec![(4, None)]), (None, vec![named(5, "b")])]
        );
        assert_eq!(
            read(
                "waits for one of 1,007 tasks of a JoinSet to end: goroutine 1 (a), goroutine 2, 1,005 more, with a time-out"
            ),
            [(Some(1007), vec![named(1, "a"), (2, None)])]
        );
        assert_eq!(
            read("waits for the task of a JoinSet to end: goroutine 1 (a)"),
            [(Some(1), vec![named(1, "a")])]
        );
        assert_eq!(
            read("waits for one of 7 tasks of a JoinSet to end: 7 more"),
            [(Some(7), vec![])]
        );
    }

    #[test]
    fn names_have_parentheses_and_commas() {
        for name in [
            "<fn(u8), (u8, i32)>::call",
            "a (b) to end, c",
            "a)",
            "a(",
            ":)(",
            "",
        ] {
            let one = format!("waits for goroutine 4 ({name}) to end");
            assert_eq!(read(&one), [(None, vec![named(4, name)])], "{one}");
        }
        let of_two = "waits for one of 2 tasks of a JoinSet to end: goroutine 1 ((A, (B, C)), d), goroutine 2 (e)";
        assert_eq!(
            read(of_two),
            [(Some(2), vec![named(1, "(A, (B, C)), d"), named(2, "e")])]
        );
    }

    #[test]
    fn other_notes_are_none() {
        for notes in [
            "",
            "waits for a Mutex<goroutine 4>, held by goroutine 4 (a)",
            "waits for goroutine x to end",
            "waits for goroutine 99999999999999999999 to end",
            "it waits for goroutine 4 to end",
            "waits for one of x tasks of a JoinSet to end: goroutine 1",
        ] {
            assert_eq!(read(notes), [], "{notes}");
        }
    }
}
