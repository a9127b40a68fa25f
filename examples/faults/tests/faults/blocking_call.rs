//! A call that blocks its worker: the task that makes it, and its line.

use crate::process::{Faulty, line};

#[test]
fn the_read_that_blocks_is_shown() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_blocking_call"), &[]);
    service.must(
        "goroutine?debug=2",
        r"^# timers and I/O of runtime [^ ]* stand still since [\d.]+m?s: thread \d+ \(tokio-rt-worker\) polls goroutine \d+ for ",
    );
    let read = line("blocking_call", "read_to_string");
    let call = line("blocking_call", "=> quota(peer)");
    service.must(
        "goroutine?debug=2",
        &format!(
            r"^# running .*, a long poll: its thread is asleep in the kernel.*\ngoroutine \d+ \[running\]:\n(.+\n)*?.*blocking_call.rs:{read}\b.*\n(.+\n)*?.*blocking_call.rs:{call}\b"
        ),
    );
}

#[test]
fn a_call_on_a_thread_of_the_pool() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_blocking_call"), &["repaired"]);
    service.goes_on(
        "tasks?debug=1",
        r"blocking_call::beat\nalive 1, .*, polls \d{2,}$",
    );
}
