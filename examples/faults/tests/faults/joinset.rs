//! Results that nothing takes out of a `JoinSet` are counted by the spawn site of their tasks.

use crate::process::{Faulty, line, never};

#[test]
fn results_that_are_not_taken_are_counted() {
    let set = Faulty::start(env!("CARGO_BIN_EXE_joinset"), &[]);
    let spawned = line("joinset", "fault.");
    let site = format!(
        r"^examples/faults/src/bin/joinset.rs:{spawned}:\d+ \(task\).*\n.*results not taken \d{{4,}}"
    );
    set.must("tasks?debug=1", &site);
    set.must("tasks", r#""results_not_taken": \d{4,}"#);
}

#[test]
fn results_of_a_set_of_two_places_are_counted_at_each() {
    let set = Faulty::start(env!("CARGO_BIN_EXE_joinset"), &["two"]);
    for place in ["fault.", "A second place."] {
        let spawned = line("joinset", place);
        let site = format!(
            r"^examples/faults/src/bin/joinset.rs:{spawned}:\d+ \(task\).*\n.*results not taken \d{{4,}}"
        );
        set.must("tasks?debug=1", &site);
    }
}

#[test]
fn results_that_are_taken_are_few() {
    let set = Faulty::start(env!("CARGO_BIN_EXE_joinset"), &["repaired"]);
    let page = set.goes_on(
        "tasks?debug=1",
        r"joinset::respond\nalive .*, finished \d{4,}",
    );
    never(&page, r"results not taken \d{3}");
}
