//! Tasks that wait for the end of each other: each names the other one, and neither ends.

use crate::process::{Faulty, line};
use regex_lite::Regex;

#[test]
fn both_wait_for_a_task() {
    let sessions = Faulty::start(env!("CARGO_BIN_EXE_join_ring"), &[]);
    for code in ["drop(session.await)", "reader.await.ok()"] {
        let join = line("join_ring", code);
        sessions.must(
            "block?debug=1&ongoing=1",
            &format!(r"^\d{{7,}} 3 @ .*\n# labels: .*join.*\n(#.*\n)*#.*join_ring.rs:{join}\n"),
        );
        sessions.must(
            "goroutine?debug=2&group=1",
            &format!(
                r"^# 3 tasks, waiting .*\ngoroutine \d+ \[join\]:\n(.+\n)*?.*join_ring.rs:{join}\b"
            ),
        );
    }
}

#[test]
fn each_ring_is_told_by_name() {
    let sessions = Faulty::start_with(
        env!("CARGO_BIN_EXE_join_ring"),
        &[],
        &[("RUNTIME_PROBE_WATCHDOG", "500ms")],
    );
    let [session, read] =
        ["session", "read"].map(|job| format!(r"goroutine \d+ \(join_ring::{job}\)"));
    let waits = |who: &str, whose: &str| format!(r"{who} waits for {whose} to end, for [\d.]+m?s");
    let told = format!(
        "deadlock: ({}; {}|{}; {})",
        waits(&session, &read),
        waits(&read, &session),
        waits(&read, &session),
        waits(&session, &read)
    );
    sessions.must(
        "",
        &format!("<li>{told}</li>(.*\n)*?<li>{told}</li>(.*\n)*?<li>{told}</li>"),
    );
    sessions.must_say(&format!("^runtime-probe: {told}"));
    let page = sessions.must("deadlocks", &format!(r"\A# {told}\n# {told}\n# {told}\n"));
    for (job, other) in [("session", "read"), ("read", "session")] {
        let note = Regex::new(&format!(
            r"(?m)^# .*, waits for goroutine (\d+) \(join_ring::{other}\) to end\b.*\ngoroutine \d+ \[join\]:\n(.+\n)*?join_ring::{job}\b"
        ));
        let awaited: Vec<_> = note
            .unwrap()
            .captures_iter(&page)
            .map(|found| found[1].to_owned())
            .collect();
        assert_eq!(awaited.len(), 3, "{page}");
        // The awaited task is one of the other kind.
        for id in awaited {
            let block = Regex::new(&format!(
                r"(?m)^goroutine {id} \[join\]:\n(.+\n)*?join_ring::{other}\b"
            ));
            assert!(block.unwrap().is_match(&page), "{id} in {page}");
        }
    }
    sessions.must("goroutineleak?debug=1", "^goroutineleak profile: total 6$");
}

#[test]
fn a_session_that_is_aborted() {
    let sessions = Faulty::start(env!("CARGO_BIN_EXE_join_ring"), &["repaired"]);
    for job in ["session", "read"] {
        sessions.goes_on(
            "tasks?debug=1",
            &format!(r"join_ring::{job}\nalive 0, spawned 3,"),
        );
    }
}
