//! A task that waits for itself is reported by name.

use crate::process::Faulty;

#[test]
fn a_task_that_has_what_it_waits_for() {
    let site = Faulty::start(env!("CARGO_BIN_EXE_self_lock"), &[]);
    let page = site.must(
        "goroutine?debug=2",
        r"^# deadlock: goroutine \d+ \(self_lock::visit\) waits for a Mutex<Vec<usize>> that goroutine \d+ \(self_lock::visit\) holds, for [\d.]+m?s; 2 wait behind it$",
    );
    assert!(page.contains("held by this very task"), "{page}");
    site.must("", "<li>deadlock: goroutine ");
    site.must("deadlocks", r"^goroutine \d+ \[sync.Mutex.Lock\]:");
    site.must("goroutineleak?debug=1", "^# 3 tasks can never go on");
}

#[test]
fn a_guard_that_ends_with_its_statement() {
    let site = Faulty::start(env!("CARGO_BIN_EXE_self_lock"), &["repaired"]);
    site.goes_on(
        "tasks?debug=1",
        r"self_lock::visit\nalive 3, .*, polls \d{2,}$",
    );
}
