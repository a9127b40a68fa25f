//! A pool whose threads are all taken says so, with what it has queued; what waits for the pool waits for nothing else.

use crate::process::{Faulty, never};

const FULL: &str = "blocking pool of runtime [^ ]*: 512 of 512 threads busy, 55[2-4] queued, the first for [0-9.]+m?s: \
                    512 spawned at examples/faults/src/bin/blocking_pool.rs:23:5, 40 spawned at \
                    examples/faults/src/bin/blocking_pool.rs:31:5(, 2 of tokio's own.*)?";

#[test]
fn a_full_pool_and_its_queue_are_told() {
    let pool = Faulty::start_with(
        env!("CARGO_BIN_EXE_blocking_pool"),
        &[],
        &[("RUNTIME_PROBE_WATCHDOG", "1s")],
    );
    pool.must("goroutine?debug=2&limit=1", &format!("^# {FULL}$"));
    for path in ["goroutine?debug=1", "threads?debug=1", "threads?debug=2"] {
        pool.must(path, &format!("^# {FULL}$"));
    }
    pool.must("", &format!("<li>{}</li>", FULL.replace('\'', "&#39;")));
    pool.must(
        "threads?debug=2",
        r"blocking pool: \d{3} threads of 512, .*, queue 55[24]$",
    );

    // What is in the queue is told as that, with what awaits it.
    let page = pool.must(
        "goroutine?debug=2&state=queued",
        r"^goroutine \d+ \[blocking, queued.*\]:\nblocking_pool::thumbnail::\{closure\}.*\n\t.*blocking_pool.rs:31\n<tokio::.*::JoinHandle as .*\n.*\nblocking_pool::thumbnail\(",
    );
    assert!(page.contains("\nblocking_pool::measure(...)\n"), "{page}");
    never(&page, r"^goroutine \d+ \[runnable");
    never(&page, r"\?\?:0");
    let counted = pool.page("goroutine?debug=1");
    assert!(
        counted.contains("blocking_pool::thumbnail::{closure}"),
        "{counted}"
    );

    // Tokio's own, by the tasks that wait for them.
    for function in ["read_settings", "find_peer"] {
        let page = pool.must(
            &format!("goroutine?debug=2&match={function}"),
            r"^goroutine \d+ \[blocking pool.*\]:",
        );
        never(&page, "IO wait");
    }
    pool.must_say(&format!("^runtime-probe: {FULL}$"));
}
