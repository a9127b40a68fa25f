//! `diff`: the stacks that have more or fewer tasks in the second of two dumps. The exit code can signal growth, for
//! CI.

use crate::own_frame::{call, own_frame};
use crate::refusal::Refusal;
use crate::show;
use crate::show::block::push_frames;
use crate::show::style::{Style, printable};
use crate::source::arguments::{json, named, with_token};
use crate::tasks::frames_json;
use clap::{Arg, ArgMatches, Command, value_parser};
use runtime_dump::parse::Parsed;
use runtime_dump::parse::stacks::CountedStack;
use runtime_dump::stack::Frame;
use serde_json::json;
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

/// The exit code of `--fail-if-grown` if a stack has grown.
const GROWN: u8 = 3;

pub(crate) fn command() -> Command {
    let source = |name: &'static str, help: &'static str| Arg::new(name).required(true).help(help);
    with_token(
        Command::new("diff").about("The stacks that have more or fewer tasks in B than in A"),
    )
    .arg(source(
        "A",
        "The earlier one: a URL, HOST:PORT, unix socket or file",
    ))
    .arg(source(
        "B",
        "The later one; a server is asked for the form of A",
    ))
    .arg(
        Arg::new("fail-if-grown")
            .long("fail-if-grown")
            .value_name("N")
            .value_parser(value_parser!(i64).range(1..))
            .help("Exit code 3 if a stack has at least N tasks more"),
    )
    .arg(json("An object with the stacks that changed"))
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let changes = match changes(matches) {
        Ok(changes) => changes,
        Err(refusal) => return refusal.told(),
    };
    let grown: Vec<&Change> = match matches.get_one::<i64>("fail-if-grown") {
        Some(most) => changes
            .iter()
            .filter(|change| change.by() >= *most)
            .collect(),
        None => Vec::new(),
    };
    let text = match matches.get_flag("json") {
        true => json_text(&changes),
        false => diff_text(&changes, Style::of_stdout()),
    };
    let shown = show::print(&text, true);
    if grown.is_empty() {
        return shown;
    }
    for change in grown {
        let place = own_frame(&change.frames).map(call).unwrap_or_default();
        eprintln!(
            "runtime-dump: grown by {}: {}",
            change.by(),
            printable(&place)
        );
    }
    ExitCode::from(GROWN)
}

/// A stack with a changed count.
#[derive(Debug)]
struct Change {
    frames: Arc<[Frame]>,
    before: i64,
    after: i64,
}

impl Change {
    fn by(&self) -> i64 {
        self.after.saturating_sub(self.before)
    }
}

fn changes(matches: &ArgMatches) -> Result<Vec<Change>, Refusal> {
    let source = |name| {
        named(
            matches,
            matches.get_one::<String>(name).expect("clap asks for it"),
        )
    };
    let (a, b) = (source("A")?, source("B")?);
    let (before, after) = match (a.is_live(), b.is_live()) {
        // A server is asked for the form of the other dump, because a file has only one form.
        (true, false) => {
            let after = b.dump("")?;
            (a.dump(page_like(&after))?, after)
        }
        (_, true) => {
            let before = a.dump("goroutine?debug=1")?;
            let after = b.dump(page_like(&before))?;
            (before, after)
        }
        (false, false) => (a.dump("")?, b.dump("")?),
    };
    if form(&before) != form(&after) {
        let (of_a, of_b) = (form(&before), form(&after));
        return Err(Refusal::new(format!(
            "{a} is {of_a}, {b} is {of_b}: these forms write frames differently; take both with the same debug="
        )));
    }
    Ok(compare(&before.stacks(), &after.stacks()))
}

fn form(parsed: &Parsed) -> &'static str {
    match parsed {
        Parsed::Blocks(_) => "a text of debug=2",
        Parsed::Counts(_) | Parsed::Log(_) => "a text of debug=1",
        Parsed::Profile(_) => "a profile.proto",
    }
}

/// The page that returns a dump in this form.
fn page_like(parsed: &Parsed) -> &'static str {
    match parsed {
        Parsed::Blocks(_) => "goroutine?debug=2",
        Parsed::Counts(_) | Parsed::Log(_) => "goroutine?debug=1",
        Parsed::Profile(_) => "goroutine",
    }
}

/// The stacks with changed counts, from the largest increase to the largest decrease.
fn compare(before: &[CountedStack], after: &[CountedStack]) -> Vec<Change> {
    let mut changes: HashMap<&Arc<[Frame]>, (i64, i64)> = HashMap::new();
    for stack in before {
        changes.entry(&stack.frames).or_default().0 = stack.count;
    }
    for stack in after {
        changes.entry(&stack.frames).or_default().1 = stack.count;
    }
    let changes = changes
        .into_iter()
        .filter(|(_, (before, after))| before != after);
    let mut changes: Vec<Change> = changes
        .map(|(frames, (before, after))| Change {
            frames: frames.clone(),
            before,
            after,
        })
        .collect();
    changes.sort_by_cached_key(|change| {
        (
            std::cmp::Reverse(change.by()),
            own_frame(&change.frames).map(call),
        )
    });
    changes
}

fn diff_text(changes: &[Change], style: Style) -> String {
    let mut text = String::new();
    let sum = |grown: bool| {
        changes
            .iter()
            .filter(|change| (change.by() > 0) == grown)
            .map(Change::by)
            .sum::<i64>()
    };
    match changes.is_empty() {
        true => text.push_str("# no difference\n"),
        false => text.push_str(&format!(
            "# {:+} and {:+} in {} stacks\n",
            sum(true),
            sum(false),
            changes.len()
        )),
    }
    for change in changes {
        let header = format!("{:+} ({} -> {})", change.by(), change.before, change.after);
        text.push_str(&match change.by() > 0 {
            true => style.alarm(&header),
            false => style.header(&header),
        });
        text.push('\n');
        push_frames(&mut text, &change.frames, None, style);
        text.push('\n');
    }
    text
}

fn json_text(changes: &[Change]) -> String {
    let changes: Vec<_> = changes
        .iter()
        .map(|change| {
            json!({ "change": change.by(), "before": change.before, "after": change.after, "frames": frames_json(&change.frames) })
        })
        .collect();
    format!("{:#}\n", json!({ "version": 1, "stacks": changes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_comes_first() {
        let stack = |function: &str, count| CountedStack {
            frames: [Frame {
                function: function.into(),
                file: "".into(),
                line: 0,
            }]
            .into(),
            count,
        };
        let changes = compare(
            &[stack("same", 4), stack("gone", 7), stack("more", 1)],
            &[stack("same", 4), stack("more", 3), stack("new", 9)],
        );
        let by: Vec<i64> = changes.iter().map(Change::by).collect();
        assert_eq!(by, [9, 2, -7]);
        assert!(
            diff_text(&changes, Style::NONE)
                .starts_with("# +11 and -7 in 3 stacks\n+9 (0 -> 9)\nnew(...)\n")
        );
    }
}
