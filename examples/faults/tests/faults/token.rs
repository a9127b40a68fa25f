//! Tasks that wait for a lock that is never released are shown alike on all pages, although each wait has a time limit.

use crate::process::{Faulty, never};

#[test]
fn the_mutex_page_counts_who_waits_now() {
    let token = Faulty::start(env!("CARGO_BIN_EXE_token"), &[]);
    token.must(
        "mutex?debug=1",
        r"^# 19 tasks wait for a lock now, the longest for [\d.]+s, all together for",
    );
    // One task holds the lock and reads from a socket, so it is not among them.
    token.must(
        "mutex?debug=1&ongoing=1",
        "^[0-9]{9,} 19 @ .*\n# labels: .*\n(#.*\n)*#.*token::call",
    );
}

#[test]
fn a_wait_under_a_time_out_is_that_wait() {
    let token = Faulty::start(env!("CARGO_BIN_EXE_token"), &[]);
    let calls = "match=token::call$";
    token.must(
        &format!("goroutine?debug=2&group=1&state=sync.mutex.lock&{calls}"),
        r"\A# 19 of \d+ tasks match .*\n# 19 tasks, waiting .*, with a time-out\n.* \[sync.Mutex.Lock\]:\ntokio::sync::mutex::",
    );
    let counted = token.must(
        &format!("goroutine?debug=1&{calls}"),
        r"\n19 @ .*\n#\s.*tokio::sync::mutex::.*\n(#.*\n)*#.*token::call.*\n\n1 @ .*\n#\s.*tokio::.*read",
    );
    never(&counted, "select");
    let folded = token.must(
        &format!("goroutine?format=folded&{calls}"),
        r"^token::call;.*tokio::sync::mutex::[^;]* 19$",
    );
    never(&folded, "select");
    let blocked = token.must(
        "block?debug=1&ongoing=1",
        "^[0-9]{9,} 19 @ .*\n# labels: .*sync.Mutex.Lock.*\n#.*tokio::sync::mutex::",
    );
    never(&blocked, "select");
    let reads = token.page(&format!("goroutine?debug=2&state=io%20wait&{calls}"));
    assert!(reads.starts_with("# 1 of "), "{reads}");
}

#[test]
fn a_token_that_is_fetched_without_the_lock() {
    let token = Faulty::start(env!("CARGO_BIN_EXE_token"), &["repaired"]);
    token.goes_on(
        "goroutine?debug=1&match=token::call$",
        r"^20 @ .*\n(#.*\n)*#.*read_to_string(.*\n)+#.*token::call",
    );
    token.must("locks", "^# nothing waits for a Mutex");
    never(
        &token.page("mutex?debug=1&ongoing=1"),
        r"tasks wait for a lock|sync\.Mutex\.Lock",
    );
}
