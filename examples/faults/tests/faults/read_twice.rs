//! A reader that reads again behind a writer.

use crate::process::Faulty;

#[test]
fn the_second_read_waits_for_the_first() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_read_twice"), &[]);
    let page = shop.must(
        "goroutine?debug=2",
        r"^# deadlock: goroutine \d+ \(read_twice::quote\) waits for a RwLock<read_twice::Settings> created at examples/faults/src/bin/read_twice.rs:\d+ that goroutine \d+ \(read_twice::quote\) holds, for [\d.]+m?s; 1 waits behind it$",
    );
    // Without full debug information, a read and a write have one name.
    assert_eq!(page.matches(" [sync.RWMutex").count(), 2, "{page}");
}

#[test]
fn one_read_lets_the_writer_in() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_read_twice"), &["repaired"]);
    shop.goes_on(
        "tasks?debug=1",
        r"read_twice::reload\nalive 1, .*, polls \d{2,}$",
    );
}
