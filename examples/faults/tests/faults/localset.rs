//! Tasks of a set that is not polled say so; a task that blocks the others of its set is listed first.

use crate::process::{Faulty, never};

const WATCHDOG: (&str, &str) = ("RUNTIME_PROBE_WATCHDOG", "500ms");

#[test]
fn a_set_that_is_not_polled_is_named() {
    for (how, since) in [
        ("never", "[0-9.]+m?s, when it was made"),
        ("left", r"[0-9.]+m?s, last by goroutine 9\d+"),
    ] {
        let window = Faulty::start_with(env!("CARGO_BIN_EXE_localset"), &[how], &[WATCHDOG]);
        let told = format!("its LocalSet is not being polled since {since}");
        window.must(
            "goroutine?debug=2",
            &format!(r"^# runnable [^\n]*, {told}(, .*)?\ngoroutine \d+ \[runnable"),
        );
        let line = window.must_say(r"^runtime-probe: goroutine \d+ has been ready for ");
        never(&line, "does not come round");
        assert!(
            line.contains(": its LocalSet is not being polled since "),
            "{line}"
        );
    }
}

#[test]
fn the_task_that_blocks_its_set_is_first() {
    let window = Faulty::start_with(env!("CARGO_BIN_EXE_localset"), &["blocked"], &[WATCHDOG]);
    let page = window.must(
        "goroutine?debug=2",
        r"\A# timers and I/O of runtime [^ ]* stand still since .* polls goroutine \d+ for .*\n(# tasks that .*\n)?# running .*localset.rs:\d+:\d+.*\n(.+\n)*localset::load_font\(",
    );
    let root = window.must(
        "goroutine?debug=2",
        r"^# running .*, inside it goroutine \d+ is polled, .*root of a block_on",
    );
    let culprit = page
        .lines()
        .find(|line| line.starts_with("goroutine "))
        .unwrap();
    let id = culprit.split(' ').nth(1).unwrap();
    assert!(
        page.contains(&format!(" polls goroutine {id} for ")),
        "{page}"
    );
    assert!(
        root.contains(&format!("inside it goroutine {id} is polled")),
        "{root}"
    );
    let line = window.must_say(r"a poll of goroutine \d+ has lasted ");
    assert!(
        line.contains(&format!("a poll of goroutine {id} has lasted ")),
        "{line}"
    );
}

#[test]
fn a_set_that_is_polled() {
    for (how, job) in [("never", "draw"), ("left", "notify")] {
        let window = Faulty::start(env!("CARGO_BIN_EXE_localset"), &[how, "repaired"]);
        window.goes_on(
            "tasks?debug=1",
            &format!(r"localset::{job}\nalive 0, spawned 1, finished 1,"),
        );
    }
    let window = Faulty::start(env!("CARGO_BIN_EXE_localset"), &["blocked", "repaired"]);
    // Inlined, the closure has no name of its function.
    window.must(
        "threads?debug=2",
        r"localset::(load_font::.*)?\{closure.*\n.*src/bin/localset.rs:27 ",
    );
    window.goes_on(
        "tasks?debug=1",
        r"localset::blink\nalive 3, .*, polls \d{2,}$",
    );
}
