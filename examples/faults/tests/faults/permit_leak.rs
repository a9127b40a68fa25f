//! All forms say what the requests wait for, and at which line of the program.

use crate::process::{Faulty, line, never};

#[test]
fn all_requests_wait_for_a_permit() {
    let limiter = Faulty::start(env!("CARGO_BIN_EXE_permit_leak"), &[]);
    let acquire = line("permit_leak", "acquire().await");
    let waits = r"tokio::sync::semaphore::";
    for (path, pattern) in [
        (
            "goroutine?debug=1",
            format!(
                "^60 @ .*\n#.*{waits}.*\n(#.*\n)*#.*permit_leak.rs:{acquire}\n(#.*\n)*#.*permit_leak::request"
            ),
        ),
        (
            "goroutine?debug=2&group=1&state=semacquire",
            format!(r"^# 60 tasks, waiting .*, with a time-out\n.* \[semacquire\]:\n{waits}"),
        ),
        (
            "goroutine?format=folded",
            format!("^permit_leak::request;.*{waits}[^;]* 60$"),
        ),
        (
            "block?debug=1&ongoing=1",
            format!("^[0-9]{{9,}} 60 @ .*\n# labels: .*semacquire.*\n#.*{waits}"),
        ),
    ] {
        never(&limiter.must(path, &pattern), "select");
    }
}

#[test]
fn places_come_back() {
    let limiter = Faulty::start(env!("CARGO_BIN_EXE_permit_leak"), &["repaired"]);
    limiter.goes_on(
        "tasks?debug=1",
        r"permit_leak::request\nalive 0, spawned 60,",
    );
}
