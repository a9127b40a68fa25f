//! A lock that is held over a slow call: the line of the holder stands beside the waiters.

use crate::process::{Faulty, line, never};

#[test]
fn the_holder_reads_from_a_socket() {
    let bank = Faulty::start(env!("CARGO_BIN_EXE_convoy"), &[]);
    let read = line("convoy", "read_u64");
    bank.must(
        "locks",
        &format!(
            r"^a Mutex<convoy::Known> created at examples/faults/src/bin/convoy.rs:\d+\n\theld by goroutine \d+.*: .*convoy.rs:{read}\) \[IO wait\]\n\t19 wait, the first for .*\n(\t\d.*\n)?\t\t19 at .* \[sync.Mutex.Lock\]: "
        ),
    );
    // The program goes on, slowly.
    never(&bank.page("goroutine?debug=2"), "deadlock|given to");
}

#[test]
fn calls_beside_each_other() {
    let bank = Faulty::start(env!("CARGO_BIN_EXE_convoy"), &["repaired"]);
    bank.goes_on(
        "tasks?debug=1",
        r"convoy::convert\nalive 20, .*, polls \d{2,}$",
    );
    let waits = bank.page("block?debug=1&ongoing=1");
    never(&waits, r"1[0-9] @ .*\n# labels: .*sync.Mutex.Lock");
}
