//! Tasks that wait for the end of each other.

use crate::process::{Faulty, line};

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
fn a_session_that_is_aborted() {
    let sessions = Faulty::start(env!("CARGO_BIN_EXE_join_ring"), &["repaired"]);
    for job in ["session", "read"] {
        sessions.goes_on(
            "tasks?debug=1",
            &format!(r"join_ring::{job}\nalive 0, spawned 3,"),
        );
    }
}
