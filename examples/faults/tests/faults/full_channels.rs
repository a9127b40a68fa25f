//! Two channels that are full, and two tasks that wait for room in them.

use crate::process::{Faulty, never};

#[test]
fn both_actors_wait_for_room() {
    let shop = Faulty::start_with(
        env!("CARGO_BIN_EXE_full_channels"),
        &[],
        &[("RUNTIME_PROBE_WATCHDOG", "wait=500ms")],
    );
    for actor in ["orders", "stock"] {
        shop.must(
            &format!("goroutine?debug=2&match=full_channels::{actor}$"),
            r"^goroutine \d+ \[chan send\]:\n(.*\n)*?.*full_channels.rs:",
        );
    }
    for _ in 0..2 {
        shop.must_say(r"^runtime-probe: goroutine \d+ has waited for [\d.]+m?s \(chan send\), the only task that waits there");
    }
}

#[test]
fn actors_that_do_not_wait_for_room() {
    let shop = Faulty::start_with(
        env!("CARGO_BIN_EXE_full_channels"),
        &["repaired"],
        &[("RUNTIME_PROBE_WATCHDOG", "wait=500ms")],
    );
    shop.goes_on(
        "tasks?debug=1",
        r"full_channels::stock\nalive 1, .*, polls \d{3,}$",
    );
    never(&shop.page("goroutine?debug=2"), "chan send");
    shop.never_said("has waited");
}
