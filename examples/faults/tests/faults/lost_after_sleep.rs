//! A task of which no waker is left waits at no line that it registered from.

use crate::process::{Faulty, never};

/// Jobs that nothing can wake, and the line that each has passed.
const LOST: [(&str, u32); 4] = [
    ("ship_after_sleep", 19),
    ("ship_after_message", 24),
    ("ship_after_batch", 31),
    ("main", 71),
];

#[test]
fn what_is_over_is_no_wait() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_lost_after_sleep"), &[]);
    for (job, line) in LOST {
        let path = format!("match=lost_after_sleep::{job}$");
        let page = shop.must(
            &format!("goroutine?debug=2&{path}"),
            &format!(
                r"^# waiting .*, nothing can wake this task: no waker of it is left.*\n.* \[waiting\]:\nwaits.after\(...\)\n.*lost_after_sleep.rs:{line}\nlost_after_sleep::{job}\(...\)\n.*lost_after_sleep.rs:{line} "
            ),
        );
        // The spawning function is found, too.
        if job != "main" {
            never(&page, r"sleep::Sleep|Receiver|sleep\]|chan");
        }
        shop.must(
            &format!("goroutine?debug=1&{path}"),
            r"^#\t0x[0-9a-f]+\twaits.after\b.*\n#\t0x[0-9a-f]+\s+lost_after_sleep::",
        );
    }
    // What is kept of an interval has a waker, and so has the set.
    shop.must(
        "goroutine?debug=2&match=lost_after_sleep::ship_with_clock$",
        r" \[waiting\]:\nwaits.after\(...\)\n.*lost_after_sleep.rs:40\nlost_after_sleep::ship_with_clock\(",
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
