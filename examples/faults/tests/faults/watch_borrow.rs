//! A lock inside a channel that blocks its thread.

use crate::process::{Faulty, line, never};

#[test]
fn the_send_blocks_its_worker() {
    let counter = Faulty::start(env!("CARGO_BIN_EXE_watch_borrow"), &[]);
    let send = line("watch_borrow", "send(&counter, *counted.borrow() + 1)");
    counter.must(
        "block?debug=1&ongoing=1",
        &format!(
            r"^\d{{7,}} 1 @ .*\n# labels: .*, blocks a worker.*\n(#.*\n)*#.*tokio::sync::watch::.*\n(#.*\n)*#.*watch_borrow.rs:{send}\n"
        ),
    );
    counter.must(
        "goroutine?debug=2",
        r"^# timers and I/O of runtime [^ ]* stand still since [\d.]+m?s: thread \d+ \(tokio-rt-worker\) polls goroutine \d+ for ",
    );
}

#[test]
fn a_copy_is_not_borrowed() {
    let counter = Faulty::start(env!("CARGO_BIN_EXE_watch_borrow"), &["repaired"]);
    counter.goes_on(
        "tasks?debug=1",
        r"watch_borrow::beat\nalive 1, .*, polls \d{2,}$",
    );
    never(&counter.page("block?debug=1&ongoing=1"), "blocks a worker");
}
