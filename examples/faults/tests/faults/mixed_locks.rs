//! A cycle of a task that waits and a task that blocks its thread.

use crate::process::Faulty;

#[test]
fn a_lock_of_the_thread_and_one_of_the_task() {
    let store = Faulty::start(env!("CARGO_BIN_EXE_mixed_locks"), &[]);
    let order = r"goroutine \d+ \(mixed_locks::order\)";
    let main = r"goroutine \d+ \(mixed_locks::main\)";
    let created = r"created at examples/faults/src/bin/mixed_locks.rs:\d+";
    store.must(
        "goroutine?debug=2",
        &format!(
            r"^# deadlock: {order} waits for a Mutex<mixed_locks::Stock> {created} that {main} holds, for [\d.]+m?s; {main} waits for a Mutex<mixed_locks::Orders> {created} that {order} holds, for [\d.]+m?s$"
        ),
    );
    store.must(
        "block?debug=1&ongoing=1",
        "^# labels: .*sync.Mutex.Lock, blocks a worker",
    );
}

#[test]
fn one_guard_at_a_time() {
    let store = Faulty::start(env!("CARGO_BIN_EXE_mixed_locks"), &["repaired"]);
    store.goes_on(
        "tasks?debug=1",
        r"mixed_locks::order\nalive 1, .*, polls \d{2,}$",
    );
}
