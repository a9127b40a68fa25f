//! A `OnceCell` whose value is made by a task that waits for it.

use crate::process::{Faulty, line};
use regex_lite::Regex;

#[test]
fn the_stack_has_the_cell_twice() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_reentrant_init"), &[]);
    let inner = line("reentrant_init", "Box::pin(config())");
    let init = line("reentrant_init", "get_or_init(read_config)");
    let outer = line("reentrant_init", "println!");
    service.must(
        "goroutine?debug=2",
        &format!(
            r"^goroutine \d+ \[sync.Mutex.Lock\]:\n(.+\n)*?.*reentrant_init.rs:{init}\b.*\n(.+\n)*?.*reentrant_init.rs:{inner}\b.*\n(.+\n)*?.*reentrant_init.rs:{init}\b.*\n(.+\n)*?.*reentrant_init.rs:{outer}\b"
        ),
    );
    let cell = r"a OnceCell<reentrant_init::Config> created at examples/faults/src/bin/reentrant_init.rs:\d+";
    let serve = r"goroutine \d+ \(reentrant_init::serve\)";
    let page = service.must(
        "goroutine?debug=2",
        &format!(
            r"\A# deadlock: {serve} waits for {cell}, whose value {serve} makes, for [\d.]+m?s; 4 wait behind it\n"
        ),
    );
    assert_eq!(
        page.matches("being made by this very task").count(),
        1,
        "{page}"
    );
    let others = Regex::new(&format!(r"(?m)waits for {cell}, being made by {serve}")).unwrap();
    assert_eq!(others.find_iter(&page).count(), 4, "{page}");
    service.must(
        "block?debug=1&ongoing=1",
        r"^\d{7,} 4 @ .*\n# labels: .*sync.Mutex.Lock.*\n#.*tokio::sync::once_cell",
    );
}

#[test]
fn a_value_that_needs_no_other() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_reentrant_init"), &["repaired"]);
    service.goes_on(
        "tasks?debug=1",
        r"reentrant_init::serve\nalive 5, .*, polls \d{2,}$",
    );
}
