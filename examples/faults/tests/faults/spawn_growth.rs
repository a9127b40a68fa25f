//! A growing number of tasks is reported with their spawn site.

use crate::process::{Faulty, line, never};

const WATCHDOG: (&str, &str) = ("RUNTIME_PROBE_WATCHDOG", "growth=100ms");

#[test]
fn the_place_that_spawns_them_is_named() {
    let service = Faulty::start_with(env!("CARGO_BIN_EXE_spawn_growth"), &[], &[WATCHDOG]);
    let spawned = line("spawn_growth", "tokio::spawn(acknowledged");
    service.must_say(&format!(
        r"^runtime-probe: there are more and more tasks, spawned at examples/faults/src/bin/spawn_growth.rs:{spawned}:\d+: \d+ have become \d+, without a break"
    ));
    service.must(
        "tasks?debug=1",
        r"spawn_growth::acknowledged\nalive \d{3,}, ",
    );
}

#[test]
fn tasks_that_end_do_not_become_more() {
    let service = Faulty::start_with(
        env!("CARGO_BIN_EXE_spawn_growth"),
        &["repaired"],
        &[WATCHDOG],
    );
    // After ten counts.
    let page = service.goes_on(
        "tasks?debug=1",
        r"spawn_growth::acknowledged\nalive \d+, spawned ([6-9]\d\d|\d{4,}),",
    );
    never(&page, r"alive ([2-9]\d\d|\d{4,}),");
    service.never_said("more and more");
}
