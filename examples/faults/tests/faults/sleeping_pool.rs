//! A full pool: the closures on its threads, and the closures in its queue.

use crate::process::{Faulty, line, never};

#[test]
fn the_closures_that_sleep_are_named() {
    let jobs = Faulty::start_with(
        env!("CARGO_BIN_EXE_sleeping_pool"),
        &[],
        &[("RUNTIME_PROBE_WATCHDOG", "500ms")],
    );
    let source = "examples/faults/src/bin/sleeping_pool.rs";
    let watch = line("sleeping_pool", "|| watch_blocking(job)");
    let compress = line("sleeping_pool", "|| page.count_ones()");
    let full = format!(
        r"blocking pool of runtime [^ ]*: 4 of 4 threads busy with 4 spawned at {source}:{watch}:5; 30 queued, the first for [\d.]+m?s: 30 spawned at {source}:{compress}:5"
    );
    jobs.must("goroutine?debug=2", &format!("^# {full}$"));
    jobs.must("", &format!("<li>{full}</li>"));
    jobs.must_say(&format!("^runtime-probe: {full}$"));
    let sleep = line("sleeping_pool", "thread::sleep(PERIOD)");
    jobs.must(
        "goroutine?debug=2&state=blocking",
        &format!(r"^goroutine \d+ \[blocking\]:\n(.+\n)*?.*sleeping_pool.rs:{sleep}\b"),
    );
}

#[test]
fn tasks_that_sleep_take_no_thread() {
    let jobs = Faulty::start(env!("CARGO_BIN_EXE_sleeping_pool"), &["repaired"]);
    let page = jobs.goes_on(
        "tasks?debug=1",
        r"sleeping_pool::compress\nalive 0, spawned 30,",
    );
    never(&page, "blocking pool");
}
