//! `/debug/pprof/`: what there is, with counts and links as on Go's index page, and what this process cannot show and
//! why.

use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::routes::only;
use crate::profile::diagnosis::Diagnosis;
use crate::profile::{block, conditions, mutex};
use crate::snapshot::{sites, tasks, threads};
use std::fmt::Write;

/// A row of the page: path, link parameters, description.
const ENTRIES: &[(&str, &str, &str)] = &[
    (
        "block",
        "?debug=1",
        "Where tasks waited for each other: channels, locks, semaphores, joins. Counts only while a rate is set; \
         seconds=10&rate=10000 sets one for ten seconds. include=sleep,io adds those waits, ongoing=1 those that have not \
         ended.",
    ),
    (
        "cmdline",
        "",
        "The command line of the process, its arguments separated by NUL bytes.",
    ),
    (
        "goroutine",
        "?debug=1",
        "Stack traces of all tasks. debug=2 writes a block per task: its state, how long it has been in it, the stack of \
         its await points and who spawned it; plain=1 leaves out the lines that Go does not have, group=1 writes equal \
         tasks once. debug=3 is a profile with a sample per task, labelled with its id, state, wait and spawn site. \
         seconds=N returns a delta profile, format=folded and format=flamegraph the stacks of a flame graph. match=REGEX, \
         state=LIST, minwait=10s and limit=N keep the tasks that one looks for; names=full shows generic arguments; \
         fresh=1 first wakes the tasks whose stacks leave open where they wait. Threads that run a task are asked for its \
         stack by a signal; slow=1s says of which polls the thread is told of.",
    ),
    (
        "mutex",
        "?debug=1",
        "Who made others wait for a lock: the waiters' time, at the stack that released it. Counts only while a fraction is \
         set; seconds=10&fraction=1 sets one for ten seconds.",
    ),
    (
        "profile",
        "?seconds=5&debug=1",
        "What uses the CPU, for seconds=30 if nothing else is said, at hz=100 samples for each second of CPU time; for go tool \
         pprof without debug=1. format=folded and format=flamegraph are the stacks of a flame graph; labels=task,thread keeps \
         the samples of tasks by name and of threads apart.",
    ),
    (
        "symbol",
        "",
        "Names for the addresses in the query or the body, for go tool pprof.",
    ),
    (
        "tasks",
        "?debug=1",
        "Tasks by where they are spawned: how many are alive, were spawned and have finished or panicked, and how often they \
         were polled. seconds=10 notes for ten seconds how long polls, waits, and the delays before polls are. debug=0 is JSON.",
    ),
    (
        "threadcreate",
        "?debug=1",
        "The threads of the process, counted by who created them, which the feature interpose notes. debug=2 writes a block per thread.",
    ),
    (
        "threads",
        "?debug=1",
        "Where the threads of the process are, each asked by a signal. debug=2 writes a block per thread, with its state and \
         the CPU time it has used. Below them, what tokio counts of its runtimes and workers.",
    ),
];

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let mut page = String::from(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>/debug/pprof/</title>\n<style>\n\
         .profile-name{display:inline-block;width:6rem}\n</style>\n</head>\n<body>\n/debug/pprof/\n<br>\n\
         <p>Set debug=1 as a query parameter to export in legacy text format.</p>\n<br>\nTypes of profiles available:\n\
         <table>\n<thead><td>Count</td><td>Profile</td></thead>\n",
    );
    for (name, parameters, _) in ENTRIES {
        let count = match *name {
            "block" => block::count(),
            "goroutine" => tasks::count(),
            "mutex" => mutex::count(),
            "tasks" => sites::count(),
            "threadcreate" | "threads" => threads::count(),
            _ => 0,
        };
        let _ = writeln!(
            page,
            "<tr><td>{count}</td><td><a href='{name}{parameters}'>{name}</a></td></tr>"
        );
    }
    page.push_str("</table>\n<a href=\"goroutine?debug=2\">full goroutine stack dump</a>\n<br>\n\
         <a href=\"goroutine?debug=2&amp;group=1\">the same, equal tasks once</a>\n<br>\n<p>\nProfile Descriptions:\n<ul>\n");
    for (name, _, description) in ENTRIES {
        let _ = writeln!(
            page,
            "<li><div class=profile-name>{name}:</div> {}</li>",
            escape(description)
        );
    }
    let conditions = conditions::now();
    if !conditions.is_empty() {
        page.push_str("</ul>\n</p>\n<p>\nConditions:\n<ul>\n");
        for condition in conditions {
            let _ = writeln!(page, "<li>{}</li>", escape(&condition.text()));
        }
    }
    page.push_str("</ul>\n</p>\n<p>\nDiagnosis:\n<ul>\n");
    for line in Diagnosis::now().lines() {
        let _ = writeln!(page, "<li>{}</li>", escape(&line));
    }
    page.push_str("</ul>\n</p>\n</body>\n</html>\n");
    Ok(Reply::html(200, page.into_bytes()))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_described() {
        assert!(ENTRIES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(
            ENTRIES
                .iter()
                .all(|(_, _, description)| description.ends_with('.'))
        );
    }
}
