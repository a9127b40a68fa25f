//! A worker that waits for a task that only it could run.

use crate::process::{Faulty, line};

#[test]
fn what_keeps_the_worker_is_named() {
    let store = Faulty::start(env!("CARGO_BIN_EXE_block_on_worker"), &[]);
    let page = store.must(
        "goroutine?debug=2",
        r"^# timers and I/O of runtime [^ ]* stand still since [\d.]+m?s: thread \d+ \(tokio-rt-worker\) polls goroutine \d+ for ",
    );
    let culprit = page.split(" polls goroutine ").nth(1).unwrap();
    let culprit = culprit.split(' ').next().unwrap();
    let blocks = line("block_on_worker", "=> block_on(count(store))");
    store.must(
        "goroutine?debug=2",
        &format!(
            r"^# running .*, a long poll: its thread is asleep in the kernel.*\ngoroutine {culprit} \[running\]:\n(.+\n)*?.*block_on_worker.rs:{blocks}\b"
        ),
    );
    store.must(
        "goroutine?debug=2",
        &format!(r"^# runnable .*, woken by goroutine {culprit}\ngoroutine \d+ \[runnable\]:\n(.+\n)*?block_on_worker::store\("),
    );
    store.must("block?debug=1&ongoing=1", "^# labels: .*, blocks a worker");
}

#[test]
fn an_executor_on_a_thread_of_the_pool() {
    let store = Faulty::start(env!("CARGO_BIN_EXE_block_on_worker"), &["repaired"]);
    store.goes_on(
        "tasks?debug=1",
        r"block_on_worker::report\nalive 1, .*, polls \d{2,}$",
    );
}
