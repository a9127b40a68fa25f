//! Parts that several pages have: links to tasks, states, stacks.

use super::html::{Html, link};
use super::quantity::Count;
use crate::profile::task_table::{Line, StackView};
use runtime_dump::goroutine::State;
use std::fmt::Display;

/// The class of a state's colour.
pub(super) fn class_of(state: State) -> &'static str {
    match state {
        State::Running => "state running",
        State::Runnable => "state runnable",
        State::Waiting => "state waiting",
    }
}

/// The state of a task, in its colour.
pub(super) fn state(html: &mut Html, state: State, text: &str) {
    html.tag("span").class(class_of(state)).text(text);
}

/// The address of a task's page.
pub(super) fn task_link(id: u64) -> String {
    link("task", &[("id", &id.to_string())])
}

/// A sentence. Numbers of tasks become links, and long paths are shortened to their ends.
pub(super) fn sentence(html: &mut Html, text: &str) {
    const TASK: &str = "goroutine ";
    const PATH: &str = "(/";
    let mut rest = text;
    loop {
        let task = rest.find(TASK).unwrap_or(rest.len());
        let path = rest.find(PATH).map_or(rest.len(), |at| at + 1);
        let (before, found) = rest.split_at(task.min(path));
        html.text(before);
        let end = match found.chars().next() {
            None => return,
            Some('/') => found.find([')', ' ']).unwrap_or(found.len()),
            Some(_) => {
                let digits = found[TASK.len()..].bytes().take_while(u8::is_ascii_digit);
                TASK.len() + digits.count()
            }
        };
        let (words, after) = found.split_at(end);
        match words.strip_prefix(TASK).map(str::parse) {
            Some(Ok(id)) => html.tag("a").attr("href", task_link(id)).text(words),
            Some(Err(_)) => {
                html.text(words);
            }
            None => place(html, words),
        }
        rest = after;
    }
}

/// The file and line of a frame. Of a long path the last folders are shown; the whole path is the element's title.
pub(super) fn place(html: &mut Html, place: &str) {
    const FOLDERS: usize = 3;
    if place.is_empty() {
        return;
    }
    let tag = html.tag("span").class("place");
    let mut slashes = place.rmatch_indices('/').map(|(at, _)| at);
    match slashes.nth(FOLDERS) {
        // A path that begins with its package is short.
        Some(at) if at > 0 && place.starts_with('/') => tag
            .attr("title", place)
            .text(format_args!("...{}", &place[at..])),
        _ => tag.text(place),
    }
}

/// Remarks on a profile or a list, folded.
pub(super) fn remarks(html: &mut Html, on: &str, remarks: &[String]) {
    if remarks.is_empty() {
        return;
    }
    html.tag("details")
        .class("remark")
        .attr("id", "remarks")
        .with(|html| {
            html.tag("summary").text(format_args!(
                "{} on {on}",
                Count(remarks.len() as u64, "remark")
            ));
            for remark in remarks {
                html.tag("p").with(|html| sentence(html, remark));
            }
        });
}

/// A function and its line: `"shop::refresh (src/shop.rs:12)"`.
pub(super) fn located(html: &mut Html, text: &str) {
    html.tag("span")
        .class("mono")
        .with(|html| sentence(html, text));
}

/// The frames of a stack. Frames of libraries between the program's own are folded.
pub(super) fn stack(html: &mut Html, stack: &StackView<'_>) {
    if let Some(why) = stack.missing {
        html.tag("p")
            .class("note")
            .text(format_args!("No stack: {why}"));
    }
    for part in &stack.parts {
        if let Some(title) = &part.title {
            html.tag("p").class("branch").text(title);
        }
        html.tag("div").class("stack").with(|html| {
            // The innermost frame is never folded: it tells what the task waits for.
            let (leaf, rest) = part.lines.split_at(part.lines.len().min(1));
            lines(html, leaf);
            for run in rest.chunk_by(|a, b| a.is_own == b.is_own) {
                match run {
                    [first, _, ..] if !first.is_own => {
                        html.tag("details").class("fold").with(|html| {
                            html.tag("summary")
                                .text(format_args!("{} frames of libraries", run.len()));
                            lines(html, run);
                        });
                    }
                    _ => lines(html, run),
                }
            }
        });
    }
}

fn lines(html: &mut Html, lines: &[Line<'_>]) {
    for line in lines {
        let class = match line.is_own {
            true => "frame own",
            false => "frame",
        };
        html.tag("div").class(class).with(|html| {
            html.tag("code").text(line.function);
            html.text(" ");
            place(html, &line.place);
        });
    }
}

/// A name and its value.
pub(super) fn fact(html: &mut Html, name: &str, value: impl Display) {
    fact_of(html, name, value, "");
}

/// A name, its value, and the whole that the value is a part of.
pub(super) fn fact_of(html: &mut Html, name: &str, value: impl Display, of: impl Display) {
    fact_with(html, name, |html| {
        html.text(value);
        html.tag("small").text(of);
    });
}

/// A name and what is written for it.
pub(super) fn fact_with(html: &mut Html, name: &str, value: impl FnOnce(&mut Html)) {
    html.tag("div").with(|html| {
        html.tag("dt").text(name);
        html.tag("dd").with(value);
    });
}

/// A square in a colour of a picture, for its legend.
pub(super) fn swatch(html: &mut Html, picture: &'static str, colour: &'static str) {
    html.tag("svg")
        .class(picture)
        .attr("width", 14)
        .attr("height", 14)
        .attr("aria-hidden", "true")
        .with(|html| {
            html.tag("rect")
                .class(colour)
                .attr("width", 14)
                .attr("height", 14)
                .attr("rx", 3)
                .text("");
        });
}

/// A bar of which a part is filled, in thousandths.
pub(super) fn bar(html: &mut Html, class: &'static str, part: f64) {
    let width = (part.clamp(0.0, 1.0) * 1000.0).round() as u32;
    html.tag("svg")
        .class("bar")
        .attr("viewBox", "0 0 1000 10")
        .attr("preserveAspectRatio", "none")
        .attr("aria-hidden", "true")
        .with(|html| {
            html.tag("rect")
                .class("bed")
                .attr("width", 1000)
                .attr("height", 10)
                .text("");
            html.tag("rect")
                .class(class)
                .attr("width", width)
                .attr("height", 10)
                .text("");
        });
}

/// A list of links, one of which is chosen.
pub(super) fn choice<'t>(
    html: &mut Html,
    label: &str,
    choices: impl IntoIterator<Item = (&'t str, String, bool)>,
) {
    html.tag("div")
        .class("choice")
        .attr("role", "group")
        .attr("aria-label", label)
        .with(|html| {
            html.tag("span").text(label);
            for (text, href, is_chosen) in choices {
                html.tag("a")
                    .attr("href", href)
                    .maybe("aria-current", is_chosen.then_some("true"))
                    .text(text);
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut html = Html::default();
        sentence(&mut html, text);
        String::from_utf8(html.into_bytes()).unwrap()
    }

    #[test]
    fn tasks_are_links_and_paths_are_short() {
        assert_eq!(
            written(
                "goroutine 12 (a::b) waits (/home/user/app/src/bin/a.rs:12), held by goroutine x"
            ),
            "<a href=\"task?id=12\">goroutine 12</a> (a::b) waits (<span class=\"place\" \
             title=\"/home/user/app/src/bin/a.rs:12\">.../app/src/bin/a.rs:12</span>), held by goroutine x"
        );
    }

    #[test]
    fn a_sentence_that_breaks_off_is_written_as_it_is() {
        for text in [
            "",
            "goroutine ",
            "(/",
            "goroutine 99999999999999999999999",
            "(/\u{e9}/\u{e9}/\u{e9}/\u{e9}/\u{e9}",
        ] {
            let html = written(text);
            assert!(text.is_empty() || html.contains(&text[..1]), "{html}");
        }
    }
}
