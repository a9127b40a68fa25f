//! A task that waits for the end of other tasks, which wait for its lock.

use crate::process::Faulty;

const LOCK: &str =
    r"a Mutex<drain_under_lock::Stock> created at examples/faults/src/bin/drain_under_lock.rs:\d+";

#[test]
fn the_helpers_of_a_set_wait_for_the_lock() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_drain_under_lock"), &[]);
    let count = r"goroutine \d+ \(drain_under_lock::count\)";
    let take = r"goroutine \d+ \(drain_under_lock::take_stock\)";
    let page = shop.must("deadlocks", r"\A# deadlock: ");
    let first = page.lines().next().unwrap();
    for wait in [
        format!("{take} waits for one of 3 tasks of a JoinSet to end, {count} among them, for"),
        format!("{count} waits for {LOCK} that {take} holds"),
        "; 2 wait behind it$".to_owned(),
    ] {
        assert!(
            regex_lite::Regex::new(&wait).unwrap().is_match(first),
            "{wait} in {first}"
        );
    }
    shop.must(
        "goroutine?debug=2",
        &format!(
            r"^# .*, waits for one of 3 tasks of a JoinSet to end: {count}, {count}, {count}.*\ngoroutine \d+ \[join\]:\n"
        ),
    );
    shop.must("goroutineleak?debug=1", "^goroutineleak profile: total 4$");
}

#[test]
fn a_closure_waits_for_the_lock_of_the_task_that_awaits_it() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_drain_under_lock"), &["blocking"]);
    let save = r"goroutine \d+ \(drain_under_lock::save\)";
    let closure = r"goroutine \d+ \(drain_under_lock::save::\{closure\}\)";
    let page = shop.must("deadlocks", r"\A# deadlock: ");
    let first = page.lines().next().unwrap();
    for wait in [
        format!("{save} waits for {closure} to end, for"),
        format!("{closure} waits for {LOCK} that {save} holds"),
    ] {
        assert!(
            regex_lite::Regex::new(&wait).unwrap().is_match(first),
            "{wait} in {first}"
        );
    }
}

#[test]
fn helpers_that_get_the_lock() {
    for (variant, job) in [("", "take_stock"), ("blocking", "save")] {
        let shop = Faulty::start(
            env!("CARGO_BIN_EXE_drain_under_lock"),
            &[variant, "repaired"],
        );
        shop.goes_on(
            "tasks?debug=1",
            &format!(r"drain_under_lock::{job}\nalive 1, .*, polls \d{{2,}}$"),
        );
    }
}
