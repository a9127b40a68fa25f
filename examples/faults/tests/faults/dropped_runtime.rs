//! A runtime whose drop waits for a worker: the thread, and the task that the worker is in.

use crate::process::{Faulty, line};

#[test]
fn the_task_that_keeps_the_runtime_is_named() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_dropped_runtime"), &[]);
    let page = service.must(
        "goroutine?debug=2",
        r"^# runtime [^ ]* is being dropped since [\d.]+m?s by thread \d+ \(main\); it waits for thread \d+ \(tokio-rt-worker\), which is in goroutine \d+$",
    );
    let task = page.split("which is in goroutine ").nth(1).unwrap();
    let task = task.lines().next().unwrap();
    let receive = line("dropped_runtime", "reports.recv()");
    service.must(
        "goroutine?debug=2",
        &format!(r"^goroutine {task} \[running\]:\n(.+\n)*?.*dropped_runtime.rs:{receive}\b"),
    );
    service.must("block?debug=1&ongoing=1", "^# labels: .*, blocks a worker");
}

#[test]
fn a_runtime_that_ends_in_the_background() {
    let mut service = Faulty::start(env!("CARGO_BIN_EXE_dropped_runtime"), &["repaired"]);
    service.must_end();
}
