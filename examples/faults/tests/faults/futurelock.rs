//! A lock that was given to a future which nothing polls any more: the dump names the task of that future, at that task and at
//! all tasks that wait behind it.

use crate::process::{Faulty, never};

#[test]
fn the_task_that_does_not_take_its_lock_is_named() {
    let shop = Faulty::start_with(
        env!("CARGO_BIN_EXE_futurelock"),
        &[],
        &[("RUNTIME_PROBE_WATCHDOG", "500ms")],
    );
    // With line tables only, an inlined async fn has its module and its line.
    let page = shop.must(
        "goroutine?debug=2",
        r"^# .*, was given a Mutex<futurelock::Prices> created at examples/faults/src/bin/futurelock.rs:\d+ [\d.]+m?s ago, through the future that waited at futurelock::(update|\{async fn\}) \(.*examples/faults/src/bin/futurelock.rs:\d+\), which it has not polled since: 21 wait behind it.*\ngoroutine \d+ \[sync.Mutex.Lock\]:\n(.*\n)*?futurelock::refresh",
    );
    let blamed = page
        .split("it was given to goroutine ")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .expect("a task is named");
    assert!(
        page.contains(&format!("\ngoroutine {blamed} [sync.Mutex.Lock]:\n")),
        "{page}"
    );
    assert_eq!(
        page.matches(&format!(
            ": it was given to goroutine {blamed}, which has been polled since without taking it; 21 more wait for it"
        ))
        .count(),
        20,
        "{page}"
    );
    never(&page, "deadlock|held by");
    let told = format!(
        r"futurelock: goroutine {blamed} \(futurelock::refresh\) was given a Mutex(<|&lt;)futurelock::Prices(>|&gt;) created at .*, which it has not polled since: 21 wait behind it"
    );
    shop.must("", &format!("<li>{told}</li>"));
    shop.must("goroutine?debug=2", &format!(r"\A# {told}\n"));
    shop.must_say(&format!("^runtime-probe: {told}"));
}

#[test]
fn a_branch_that_is_dropped_leaves_the_queue() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_futurelock"), &["repaired"]);
    shop.goes_on(
        "tasks?debug=1",
        r"futurelock::quote\nalive 0, spawned 20, finished 20,",
    );
}
