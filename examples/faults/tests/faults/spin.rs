//! A task that wakes itself for ever is seen.

use crate::process::{Faulty, never};

#[test]
fn its_task_is_listed() {
    let spin = Faulty::start(env!("CARGO_BIN_EXE_spin"), &[]);
    let page = spin.must("goroutine?debug=2", r"^spin::serve_orders\(\.\.\.\)$");
    never(&page, "runtime_probe::source");
}
