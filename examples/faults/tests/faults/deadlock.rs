//! Cycles of locks are reported by name, on the index and above the dump. Tasks that only wait are in no cycle.

use crate::process::{Faulty, never};
use std::time::{Duration, Instant};

const TRANSFER: &str = r"goroutine \d+ \(deadlock::transfer\)";
const ACCOUNT: &str =
    r"a Mutex<deadlock::Account> created at examples/faults/src/bin/deadlock.rs:\d+";

#[test]
fn three_tasks_and_what_waits_behind_them() {
    let bank = Faulty::start(env!("CARGO_BIN_EXE_deadlock"), &[]);
    let one = format!(r"{TRANSFER} waits for {ACCOUNT} that {TRANSFER} holds, for [\d.]+m?s; ");
    let line = format!(r"^# deadlock: {one}{one}{one}1 waits behind it$");
    let page = bank.must("goroutine?debug=2", &line);
    assert_eq!(page.matches(", held by goroutine ").count(), 4, "{page}");
    assert_eq!(
        page.matches(", holds a Mutex<deadlock::Account> created at ")
            .count(),
        3,
        "{page}"
    );
    bank.must("", "<li>deadlock: goroutine ");
    let cycle = bank.page("deadlocks");
    assert_eq!(cycle.matches(" [sync.Mutex.Lock]:\n").count(), 3, "{cycle}");
    never(&cycle, "deadlock::report|\\[waiting\\]");
    let locks = bank.page("locks");
    assert_eq!(
        locks.matches("\na Mutex<deadlock::Account>").count(),
        3,
        "{locks}"
    );
    for form in [
        "goroutine?debug=1",
        "block?debug=1",
        "mutex?debug=1",
        "threads?debug=1",
        "tasks?debug=1",
    ] {
        bank.must(form, "^(# )?deadlock: goroutine ");
    }
}

#[test]
fn a_reader_that_wants_to_write() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_deadlock"), &["upgrade"]);
    service.must(
        "goroutine?debug=2",
        r"^# deadlock: goroutine (\d+) \(deadlock::reload\) waits for a RwLock<u32> created at .* that it reads itself(, taken at .*,)? and wants to write, for ",
    );
}

#[test]
fn a_thread_and_a_worker() {
    let store = Faulty::start(env!("CARGO_BIN_EXE_deadlock"), &["blocking"]);
    store.must(
        "goroutine?debug=2",
        r"^# deadlock: .* waits for a Mutex<u32> that .* holds, for ",
    );
}

#[test]
fn locks_that_are_taken_one_at_a_time_are_no_deadlock() {
    let bank = Faulty::start(env!("CARGO_BIN_EXE_deadlock"), &["healthy"]);
    bank.must(
        "goroutine?debug=2",
        r"^# .*, waits for a Mutex<deadlock::Account>.*, held by goroutine \d+ ",
    );
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        never(&bank.page("goroutine?debug=2"), "deadlock: |given to");
        never(&bank.page("deadlocks"), "goroutine");
    }
}

#[test]
fn locks_that_are_taken_in_one_order() {
    for (how, goes_on) in [
        ("ring", r"deadlock::transfer\nalive 3, .*, polls \d{2,}$"),
        ("upgrade", r"deadlock::reload\nalive 1, .*, polls \d{2,}$"),
        (
            "blocking",
            r"deadlock::blocking::.*\nalive 1, .*, polls \d{2,}$",
        ),
    ] {
        let bank = Faulty::start(env!("CARGO_BIN_EXE_deadlock"), &[how, "repaired"]);
        bank.goes_on("tasks?debug=1", goes_on);
    }
}
