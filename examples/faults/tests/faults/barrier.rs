//! Tasks that wait for a task that has ended.

use crate::process::{Faulty, line};

#[test]
fn the_workers_that_wait_are_counted() {
    let workers = Faulty::start(env!("CARGO_BIN_EXE_barrier"), &[]);
    let wait = line("barrier", "barrier.wait().await");
    workers.must(
        "block?debug=1&ongoing=1",
        &format!(
            r"^\d{{8,}} 2 @ .*\n# labels: .*sync.WaitGroup.Wait.*\n(#.*\n)*#.*barrier.rs:{wait}\n"
        ),
    );
    workers.must(
        "tasks?debug=1",
        r"barrier::rounds\nalive 2, spawned 3, finished 1,",
    );
}

#[test]
fn workers_that_all_come() {
    let workers = Faulty::start(env!("CARGO_BIN_EXE_barrier"), &["repaired"]);
    workers.goes_on(
        "tasks?debug=1",
        r"barrier::rounds\nalive 3, .*, polls \d{2,}$",
    );
}
