//! Results that nothing takes out of a `JoinSet` are counted by where their tasks were spawned.

use crate::process::Faulty;

#[test]
fn results_that_are_not_taken_are_counted() {
    let set = Faulty::start(env!("CARGO_BIN_EXE_joinset"), &[]);
    let site = r"^examples/faults/src/bin/joinset.rs:15:18 \(task\).*\n.*results not taken \d{4,}";
    set.must("tasks?debug=1", site);
    set.must("tasks", r#""results_not_taken": \d{4,}"#);
}

#[test]
fn results_of_a_set_of_two_places_are_counted_at_each() {
    let set = Faulty::start(env!("CARGO_BIN_EXE_joinset"), &["two"]);
    for line in [15, 17] {
        let site = format!(
            r"^examples/faults/src/bin/joinset.rs:{line}:\d+ \(task\).*\n.*results not taken \d{{4,}}"
        );
        set.must("tasks?debug=1", &site);
    }
}
