//! A task without any waker left is not shown as waiting at a line at which it registered before.

use crate::process::{Faulty, line, never};

/// Jobs that nothing can wake, and the line that each has passed.
const LOST: [(&str, &str); 4] = [
    (
        "ship_after_sleep",
        "time::sleep(Duration::from_millis(20)).await; // Over.",
    ),
    ("ship_after_message", "orders.recv().await;"),
    ("ship_after_batch", "parts.next().await"),
    ("main", "The last one of main."),
];

#[test]
fn what_is_over_is_no_wait() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_lost_after_sleep"), &[]);
    for (job, code) in LOST {
        let line = line("lost_after_sleep", code);
        let path = format!("match=lost_after_sleep::{job}$");
        let page = shop.must(
            &format!("goroutine?debug=2&{path}"),
            &format!(
                r"^# waiting .*, nothing can wake this task: no waker of it is left.*\n.* \[waiting\]:\nwaits.after\(...\)\n.*lost_after_sleep.rs:{line}\nlost_after_sleep::{job}\(...\)\n.*lost_after_sleep.rs:{line}\b"
            ),
        );
        // The spawning function is known, too.
        if job != "main" {
            never(&page, r"sleep::Sleep|Receiver|sleep\]|chan");
        }
        shop.must(
            &format!("goroutine?debug=1&{path}"),
            r"^#\t0x[0-9a-f]+\twaits.after\b.*\n#\t0x[0-9a-f]+\s+lost_after_sleep::",
        );
    }
    // The interval that is kept has a waker, and so has the set.
    let tick = line("lost_after_sleep", "clock.tick().await; // The second.");
    shop.must(
        "goroutine?debug=2&match=lost_after_sleep::ship_with_clock$",
        &format!(
            r" \[waiting\]:\nwaits.after\(...\)\n.*lost_after_sleep.rs:{tick}\nlost_after_sleep::ship_with_clock\("
        ),
    );
    let page = shop.must(
        "goroutine?debug=2&match=lost_after_sleep::ship_after_join$",
        r"stack as of an earlier poll\n.* \[waiting\]:\nwaits.at_or_after\(...\)\n",
    );
    never(&page, r"nothing can wake|\[join");
    shop.must(
        "goroutine?debug=2&match=lost_after_sleep::ship_both$",
        r" \[chan receive\]:\ntokio::sync::mpsc::",
    );
    let waits = shop.page("block?debug=1&ongoing=1&include=sleep");
    never(&waits, r"labels: \{.*sleep");
    for (job, _) in LOST {
        shop.must(
            "block?debug=1&ongoing=1",
            &format!("labels: .*unknown.*\n#.*waits.after.*\n#.*{job}"),
        );
    }
}

#[test]
fn a_waker_that_is_kept_is_a_wait() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_lost_after_sleep"), &["repaired"]);
    for (job, _) in LOST.iter().filter(|(job, _)| *job != "main") {
        let page = shop.goes_on(
            &format!("goroutine?debug=2&match=lost_after_sleep::{job}$"),
            // Inlined, it has no name.
            r" \[waiting\]:\n(.*\n)*?lost_after_sleep::(payment_arrives|\{async fn\})\(.*\n.*lost_after_sleep.rs:26\b",
        );
        never(&page, "nothing can wake|waits.after|sleep::Sleep|chan");
    }
}
