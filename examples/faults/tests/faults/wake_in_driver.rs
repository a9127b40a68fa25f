//! A waker that blocks the worker which drives the timers: it is not the fault of a task, and no poll is long.

use crate::process::Faulty;

const TOLD: &str = r"timers and I/O of runtime [^ ]+ stand still since [\d.]+m?s at most: thread \d+ \(tokio-rt-worker\) is in a wake by the driver, in (?:<|&lt;)?wake_in_driver::Bell as [^ ]*Wake(?:>|&gt;)?::wake, for [\d.]+m?s at least";

#[test]
fn the_waker_that_blocks_is_named() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_wake_in_driver"), &[]);
    for page in ["goroutine?debug=2", "threads?debug=2"] {
        service.must(page, &format!("^# {TOLD}$"));
    }
    service.must("", TOLD);
    service.must(
        "goroutine?debug=2",
        r"^# waiting .*its deadline may be past: the timers of its runtime stand still\ngoroutine \d+ \[sleep",
    );
}

#[test]
fn the_watchdog_tells_of_it() {
    let service = Faulty::start_with(
        env!("CARGO_BIN_EXE_wake_in_driver"),
        &[],
        &[("RUNTIME_PROBE_WATCHDOG", "1s")],
    );
    service.must_say(TOLD);
}

/// The worker sleeps in `epoll_wait`, or was woken by its timers a moment ago.
#[test]
fn a_waker_that_does_not_wait() {
    let service = Faulty::start_with(
        env!("CARGO_BIN_EXE_wake_in_driver"),
        &["repaired"],
        &[("RUNTIME_PROBE_WATCHDOG", "1s")],
    );
    service.goes_on(
        "tasks?debug=1",
        r"wake_in_driver::beat\nalive 1, .*, polls \d{3,}$",
    );
    service.never_said("stand still");
}
