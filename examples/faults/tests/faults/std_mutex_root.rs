//! Waits of workers for a lock of std that have not ended are listed, also without a rate.

use crate::process::{Faulty, never};

#[test]
fn workers_wait_for_the_root() {
    let members = Faulty::start(env!("CARGO_BIN_EXE_std_mutex_root"), &[]);
    // The second worker may be idle and not wait for the lock: the first one had the timers.
    let wait = "^[0-9]{9,} [12] @ .*\n# labels: .*sync.Mutex.Lock, blocks a worker.*\n\
                #.*[Mm]utex::lock.*\n(#.*\n)*#.*std_mutex_root::join_members";
    let page = members.must("block?debug=1&ongoing=1", wait);
    assert!(page.contains("std_mutex_root::main"), "{page}");
    members.must("mutex?debug=1&ongoing=1", wait);
    members.must(
        "goroutine?debug=2",
        "^# timers and I/O of runtime [^ ]* stand still since .*: thread [0-9]+ .* polls goroutine [0-9]+ for ",
    );
}

#[test]
fn a_guard_that_is_not_held_over_an_await() {
    let members = Faulty::start(env!("CARGO_BIN_EXE_std_mutex_root"), &["repaired"]);
    members.must(
        "tasks?debug=1",
        r"std_mutex_root::greet\nalive 0, spawned 1,",
    );
    members.goes_on(
        "tasks?debug=1",
        r"std_mutex_root::join_members\nalive 3, .*, polls \d{3,}$",
    );
    never(&members.page("block?debug=1&ongoing=1"), "blocks a worker");
}
