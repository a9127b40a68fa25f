//! Two full channels, and two tasks that wait for room in them.

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

/// Without `decode` the dump says that a futurelock is not known.
#[test]
fn that_receivers_of_room_are_not_known_is_told() {
    let channels = Faulty::start(env!("CARGO_BIN_EXE_full_channels"), &[]);
    let told = r"^# \d+ tasks wait for room in a channel or for permits for 10s and more; whether a task was given these and does not take them is not known: ";
    for path in ["block?debug=1&ongoing=1", "goroutine?debug=1"] {
        channels.must(path, told);
    }
}
