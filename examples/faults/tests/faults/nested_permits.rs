//! Permits that are held by tasks that wait for permits.

use crate::process::{Faulty, line};

#[test]
fn first_and_second_permits_are_told_apart() {
    let pool = Faulty::start(env!("CARGO_BIN_EXE_nested_permits"), &[]);
    for code in ["let _second", "let first"] {
        let acquire = line("nested_permits", code);
        pool.must(
            "block?debug=1&ongoing=1",
            &format!(
                r"^\d{{8,}} 4 @ .*\n# labels: .*semacquire.*\n#.*tokio::sync::semaphore.*\n#.*nested_permits.rs:{acquire}\n"
            ),
        );
    }
}

#[test]
fn one_permit_at_a_time() {
    let pool = Faulty::start(env!("CARGO_BIN_EXE_nested_permits"), &["repaired"]);
    pool.goes_on(
        "tasks?debug=1",
        r"nested_permits::request\nalive 8, .*, polls \d{3,}$",
    );
}
