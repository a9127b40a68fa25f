//! A task that wakes itself for ever is reported: first in the dump with its rate, and first by polls.

use crate::process::{Faulty, line, never};

#[test]
fn it_is_first_with_its_rate() {
    let spin = Faulty::start(env!("CARGO_BIN_EXE_spin"), &[]);
    let page = spin.must(
        "goroutine?debug=2",
        r"\A#.*, [0-9,]{5,} polls/s now, [0-9,]+ polls/s for the [\d.]+m?s since its spawn.*\n.*\nspin::serve_orders\(\.\.\.\)$",
    );
    never(&page, "runtime_probe::source");
    // The task `beat` is not reported.
    assert_eq!(page.matches("polls/s now").count(), 1, "{page}");
    let spawned = line("spin", "tokio::spawn(serve_orders");
    for sort in ["polls", "busy"] {
        spin.must(
            &format!("tasks?debug=1&seconds=1&sort={sort}"),
            &format!(
                r"\A.*\n.*\n\nexamples/faults/src/bin/spin.rs:{spawned}:5 \(task\).*\n.* polls \d{{3,}} \(\d{{3,}}/s\)$"
            ),
        );
    }
    let refused = spin.page("tasks?sort=waits");
    assert!(refused.contains("need times"), "{refused}");
    assert!(
        spin.page("tasks?sort=size")
            .contains("must be alive, polls, busy, waits or heap")
    );
}

#[test]
fn a_closed_channel_is_asked_once() {
    let spin = Faulty::start(env!("CARGO_BIN_EXE_spin"), &["repaired"]);
    // It beats every 50 ms, and the channel was closed after 300 ms.
    spin.goes_on("tasks?debug=1", r"spin::beat\nalive 1, .*, polls \d{2,}$");
    let page = spin.page("goroutine?debug=2&match=serve_orders");
    assert!(page.contains(", polls 2, "), "{page}");
}
