//! A runtime that is being dropped: the thread that drops it, and the read that the drop waits for.

use crate::process::{Faulty, never};

const DROPPED: &str = r"runtime [^ ]* is being dropped since [0-9.]+m?s by thread \d+ \(main\); it waits for thread \d+ \(tokio-rt-worker\), which reads standard input";

#[test]
fn the_end_of_a_runtime_waits_for_standard_input() {
    let program = Faulty::start(env!("CARGO_BIN_EXE_stdin"), &[]);
    let page = program.must("goroutine?debug=2", &format!("^# {DROPPED}$"));
    assert!(
        page.contains("# no tasks: those of a runtime that is being dropped have ended"),
        "{page}"
    );
    for path in [
        "goroutine?debug=1",
        "goroutine?format=folded",
        "block?debug=1",
        "mutex?debug=1",
        "threads?debug=1",
        "profile?debug=1&seconds=1",
    ] {
        program.must(path, &format!("^# {DROPPED}$"));
    }
    program.must("tasks?debug=1", &format!("^{DROPPED}$"));
    let index = program.must("", &format!("<li>{DROPPED}</li>"));
    for page in [page, index, program.page("tasks?debug=1")] {
        never(&page, "package = ");
    }
    let page = program.must(
        "threads?debug=2",
        r"^tokio::runtime::runtime::Runtime::drop\(\.\.\.\)\n.*\nstdin::main\(",
    );
    assert!(page.contains(", reads standard input"), "{page}");
    never(&page, "drop_in_place|core::mem::drop|cannot be reached");
}

#[test]
fn a_thread_of_its_own_is_waited_for_by_nothing() {
    let mut program = Faulty::start_with(
        env!("CARGO_BIN_EXE_stdin"),
        &["repaired"],
        &[("RUNTIME_PROBE_WATCHDOG", "100ms")],
    );
    program.must_end();
}
