//! A message that was read partly: both ends wait, each at its line.

use crate::process::{Faulty, line};

#[test]
fn both_ends_read() {
    let peers = Faulty::start(env!("CARGO_BIN_EXE_half_read"), &[]);
    for (job, code) in [
        ("receive", "read_exact(&mut message)"),
        ("send", "read_u8()"),
    ] {
        let read = line("half_read", code);
        peers.must(
            &format!("goroutine?debug=2&match=half_read::{job}$"),
            &format!(r"^goroutine \d+ \[IO wait\]:\n(.+\n)*?.*half_read.rs:{read}\b"),
        );
    }
}

#[test]
fn a_future_that_is_kept_keeps_its_half() {
    let peers = Faulty::start(env!("CARGO_BIN_EXE_half_read"), &["repaired"]);
    for job in ["receive", "send"] {
        peers.goes_on(
            "tasks?debug=1",
            &format!(r"half_read::{job}\nalive 0, spawned 1, finished 1,"),
        );
    }
}
