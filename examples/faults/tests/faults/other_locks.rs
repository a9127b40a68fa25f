//! A lock of another crate is shown as a lock, and a lock with a time limit as the same lock without.

use crate::process::{Faulty, never};

#[test]
fn all_of_them_wait_for_locks() {
    let bank = Faulty::start(env!("CARGO_BIN_EXE_other_locks"), &[]);
    let page = bank.must(
        "goroutine?debug=2&state=sync.Mutex.Lock",
        r"\A# 4 of 5 tasks match ",
    );
    for lock in ["futures_util::lock::mutex::", "tokio::sync::mutex::"] {
        assert_eq!(
            page.matches(&format!("]:\n{lock}")).count()
                + page.matches(&format!("]:\n<{lock}")).count(),
            2,
            "{page}"
        );
    }
    never(&page, r"select|Sleep|sleep");
}

/// The time limit ends the wait, so this is no deadlock.
#[test]
fn a_cycle_under_a_time_out_is_told() {
    let bank = Faulty::start(env!("CARGO_BIN_EXE_other_locks"), &[]);
    bank.must(
        "deadlocks",
        r"\A# no certain deadlock, but a cycle: goroutine \d+ \(other_locks::\w+\), goroutine \d+ \(other_locks::\w+\): each waits for a lock of the next one.*\n(# waiting .*\ngoroutine \d+ \[sync.Mutex.Lock\]:\n(.+\n)+\n?){2}\z",
    );
}

#[test]
fn one_order_is_no_deadlock() {
    let bank = Faulty::start(env!("CARGO_BIN_EXE_other_locks"), &["repaired"]);
    bank.goes_on(
        "tasks?debug=1",
        "^1 spawn locations?, 1 tasks? alive|, 1 tasks? alive, 5 spawned",
    );
}
