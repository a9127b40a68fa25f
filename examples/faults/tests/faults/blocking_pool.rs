//! A pool with all threads occupied says so, with its queue. Tasks that wait for the pool are shown as waiting for nothing else.

use crate::process::{Faulty, line, never};

fn full() -> String {
    let source = "examples/faults/src/bin/blocking_pool.rs";
    let inner = line("blocking_pool", "|| decode(number)");
    let outer = line("blocking_pool", "|| render(number)");
    format!(
        "blocking pool of runtime [^ ]*: 512 of 512 threads busy with 512 spawned at {source}:{outer}:5; 55[2-4] queued, the first \
         for [0-9.]+m?s: 512 spawned at {source}:{inner}:5, 40 spawned at {source}:{outer}:5(, 2 of tokio's own.*)?"
    )
}

#[test]
fn a_full_pool_and_its_queue_are_told() {
    let full = full();
    let pool = Faulty::start_with(
        env!("CARGO_BIN_EXE_blocking_pool"),
        &[],
        &[("RUNTIME_PROBE_WATCHDOG", "1s")],
    );
    pool.must("goroutine?debug=2&limit=1", &format!("^# {full}$"));
    for path in ["goroutine?debug=1", "threads?debug=1", "threads?debug=2"] {
        pool.must(path, &format!("^# {full}$"));
    }
    pool.must("", &format!("<li>{}</li>", full.replace('\'', "&#39;")));
    pool.must(
        "threads?debug=2",
        r"blocking pool: \d{3} threads of 512, .*, queue 55[24]$",
    );

    // A closure in the queue is shown as queued, with the task that awaits it.
    let page = pool.must(
        "goroutine?debug=2&state=queued",
        r"^goroutine \d+ \[blocking, queued.*\]:\nblocking_pool::thumbnail::\{closure\}.*\n\t.*blocking_pool.rs:\d+\n<tokio::.*::JoinHandle as .*\n.*\nblocking_pool::thumbnail\(",
    );
    assert!(page.contains("\nblocking_pool::measure(...)\n"), "{page}");
    never(&page, r"^goroutine \d+ \[runnable");
    never(&page, r"\?\?:0");
    let counted = pool.page("goroutine?debug=1");
    assert!(
        counted.contains("blocking_pool::thumbnail::{closure}"),
        "{counted}"
    );

    // tokio's own closures, by the tasks that wait for them.
    for function in ["read_settings", "find_peer"] {
        let page = pool.must(
            &format!("goroutine?debug=2&match={function}"),
            r"^goroutine \d+ \[blocking pool.*\]:",
        );
        never(&page, "IO wait");
    }
    pool.must_say(&format!("^runtime-probe: {full}$"));
}

#[test]
fn closures_that_wait_for_no_closure_leave_the_pool() {
    let pool = Faulty::start(env!("CARGO_BIN_EXE_blocking_pool"), &["repaired"]);
    pool.must(
        "tasks?debug=1",
        r"blocking_pool::thumbnail\nalive 0, spawned 552, ",
    );
    let page = pool.goes_on(
        "goroutine?debug=2",
        r"^# .*, polls \d\d, (.*\n)+blocking_pool::read_settings\(",
    );
    never(&page, r"\[blocking, queued");
}
