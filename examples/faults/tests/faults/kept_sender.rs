//! A task that waits for the end of another task, which waits for a message.

use crate::process::{Faulty, line};

#[test]
fn the_shutdown_and_the_writer() {
    let log = Faulty::start(env!("CARGO_BIN_EXE_kept_sender"), &[]);
    for (job, state, code) in [
        ("serve", "join", "writer.await"),
        ("write", "chan receive", "lines.recv().await"),
    ] {
        let wait = line("kept_sender", code);
        log.must(
            &format!(
                "goroutine?debug=2&match=kept_sender::{job}$&state={}",
                state.replace(' ', "%20")
            ),
            &format!(r"^goroutine \d+ \[{state}\]:\n(.+\n)*?.*kept_sender.rs:{wait}\b"),
        );
    }
}

#[test]
fn a_sender_that_is_dropped() {
    let log = Faulty::start(env!("CARGO_BIN_EXE_kept_sender"), &["repaired"]);
    for job in ["serve", "write"] {
        log.goes_on(
            "tasks?debug=1",
            &format!(r"kept_sender::{job}\nalive 0, spawned 1, finished 1,"),
        );
    }
}
