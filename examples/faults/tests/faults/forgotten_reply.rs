//! Answers that never come: how many calls wait for one, and in which line.

use crate::process::{Faulty, line, never};

#[test]
fn the_calls_without_an_answer_are_counted() {
    let client = Faulty::start(env!("CARGO_BIN_EXE_forgotten_reply"), &[]);
    let answer = line("forgotten_reply", "answer.await.ok()");
    client.must(
        "block?debug=1&ongoing=1",
        &format!(
            r"^\d+ \d{{3,}} @ .*\n# labels: .*chan receive.*\n#.*tokio::sync::oneshot.*\n(#.*\n)*#.*forgotten_reply.rs:{answer}\n"
        ),
    );
    client.must(
        "goroutine?debug=1",
        r"^\d{3,} @ .*\n#.*tokio::sync::oneshot",
    );
    client.must("tasks?debug=1", r"forgotten_reply::call\nalive \d{3,}, ");
}

#[test]
fn calls_that_end_without_an_answer() {
    let client = Faulty::start(env!("CARGO_BIN_EXE_forgotten_reply"), &["repaired"]);
    let page = client.goes_on(
        "tasks?debug=1",
        r"forgotten_reply::call\nalive \d+, spawned \d+, finished ([3-9]\d\d|\d{4,}),",
    );
    never(&page, r"alive \d{3,}");
}
