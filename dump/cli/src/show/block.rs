//! A block of a dump in the form of `debug=2`, with the program's own calls emphasized.

use super::style::{Style, printable};
use crate::own_frame::is_own;
use runtime_dump::parse::blocks::{Block, Subject};
use runtime_dump::stack::Frame;
use std::fmt::Write as _;

/// Appends a block and an empty line.
pub(crate) fn push_block(text: &mut String, block: &Block, subject: Subject, style: Style) {
    if let Some(remark) = &block.remark {
        let mut parts = Vec::new();
        parts.extend(remark.name.clone());
        if remark.count > 1 {
            parts.push(format!("{} tasks", remark.count));
        }
        let state = remark.state.map_or("", |state| state.word());
        match remark.since_ns {
            Some(ns) => parts.push(format!("{state} {}", duration(ns))),
            None if !state.is_empty() => parts.push(state.to_owned()),
            None => {}
        }
        parts.extend(remark.cpu_ns.map(|ns| format!("CPU {}", duration(ns))));
        parts.extend(remark.polls.map(|polls| format!("polls {polls}")));
        parts.extend(remark.busy_ns.map(|ns| format!("busy {}", duration(ns))));
        parts.extend(
            remark
                .spawned_at
                .as_ref()
                .map(|at| format!("spawned at {at}")),
        );
        if !remark.notes.is_empty() {
            parts.push(remark.notes.clone());
        }
        let _ = writeln!(
            text,
            "{}",
            style.dim(&format!("# {}", printable(&parts.join(", "))))
        );
    }
    let kind = match subject {
        Subject::Task => "goroutine",
        Subject::Thread => "thread",
    };
    let leaked = if block.is_leaked { " (leaked)" } else { "" };
    let minutes = block
        .minutes
        .map(|minutes| format!(", {minutes} minutes"))
        .unwrap_or_default();
    let header = format!(
        "{kind} {} [{}{leaked}{minutes}]{}:",
        block.id,
        block.state,
        labels(&block.labels)
    );
    let _ = writeln!(text, "{}", style.header(&printable(&header)));
    push_frames(text, &block.stack.frames, block.stack.elided, style);
    if let Some(by) = &block.created_by {
        let parent = by
            .parent
            .map(|parent| format!(" in {kind} {parent}"))
            .unwrap_or_default();
        push_call(
            text,
            &format!("created by {}{parent}", by.frame.function),
            &by.frame,
            style,
        );
    }
    text.push('\n');
}

/// Appends two lines for each frame.
pub(crate) fn push_frames(
    text: &mut String,
    frames: &[Frame],
    elided: Option<(usize, u64)>,
    style: Style,
) {
    for index in 0..=frames.len() {
        if let Some((_, count)) = elided.filter(|(gap, _)| *gap == index) {
            let _ = writeln!(text, "...{count} frames elided...");
        }
        if let Some(frame) = frames.get(index) {
            push_call(text, &format!("{}(...)", frame.function), frame, style);
        }
    }
}

fn push_call(text: &mut String, call: &str, frame: &Frame, style: Style) {
    let file = if frame.file.is_empty() {
        "??"
    } else {
        &frame.file
    };
    let (call, position) = (
        printable(call),
        printable(&format!("{file}:{}", frame.line)),
    );
    let _ = match is_own(frame) {
        true => writeln!(text, "{}\n\t{position}", style.strong(&call)),
        false => writeln!(text, "{}\n\t{}", style.dim(&call), style.dim(&position)),
    };
}

fn labels(labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!(" {{{}}}", labels.join(", "))
}

/// Formats a duration with about three significant digits: `2.45s`, `12ms`, `3m20s`, `26h0m`.
pub(crate) fn duration(ns: u64) -> String {
    let unit = |unit: u64, name: &str| {
        let whole = ns / unit;
        match whole {
            0..10 => {
                let text = format!("{whole}.{:02}", ns % unit * 100 / unit);
                format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => format!("{whole}{name}"),
        }
    };
    match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => unit(1_000, "us"),
        1_000_000..1_000_000_000 => unit(1_000_000, "ms"),
        1_000_000_000..60_000_000_000 => unit(1_000_000_000, "s"),
        60_000_000_000..3_600_000_000_000 => {
            format!("{}m{}s", ns / 60_000_000_000, ns / 1_000_000_000 % 60)
        }
        _ => format!("{}h{}m", ns / 3_600_000_000_000, ns / 60_000_000_000 % 60),
    }
}

/// Formats a number of bytes, as short as [`duration`].
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"");
    // A value that would be shown as 1024.0 moves to the next unit.
    while size >= 1023.95
        && let Some(larger) = units.next()
    {
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1}{unit}")
}

#[cfg(test)]
mod tests {
    use super::{duration, push_frames, size};
    use crate::show::style::Style;
    use runtime_dump::stack::Frame;

    #[test]
    fn a_gap_may_be_the_last() {
        let frame = Frame {
            function: "f".into(),
            file: "a.rs".into(),
            line: 3,
        };
        let mut text = String::new();
        push_frames(&mut text, &[frame], Some((1, 7)), Style::NONE);
        assert_eq!(text, "f(...)\n\ta.rs:3\n...7 frames elided...\n");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (3_500, "3.4KiB"),
            ((1 << 20) - 1, "1.0MiB"),
            (1 << 30, "1.0GiB"),
            (u64::MAX, "16384.0PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations_are_short() {
        let cases = [
            (0, "0s"),
            (850, "850ns"),
            (2_450_000_000, "2.45s"),
            (1_130_000_000, "1.13s"),
            (2_010_000_000, "2.01s"),
            (9_999_999_999, "9.99s"),
            (12_345_678, "12ms"),
            (1_000, "1us"),
            (200_000_000_000, "3m20s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }
}
