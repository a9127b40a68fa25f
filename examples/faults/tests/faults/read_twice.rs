//! A reader that reads again behind a writer.

use crate::process::Faulty;

#[test]
fn the_second_read_waits_for_the_first() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_read_twice"), &[]);
    let page = shop.must(
        "goroutine?debug=2",
        r"^# deadlock: goroutine \d+ \(read_twice::quote\) waits for a RwLock<read_twice::Settings> created at examples/faults/src/bin/read_twice.rs:\d+ that it reads itself(, taken at [^,]+,)? and wants to read once more, behind goroutine (\d+), which has asked in between to write, for [\d.]+m?s; 1 waits behind it$",
    );
    // For each of the two, the reader names the writer, and the writer names the reader.
    let note = r"(?m)^# .*, waits for a RwLock<read_twice::Settings> .*, taken for reading by this very task( since [\d.]+m?s)?(, taken at [^,]+)?, and behind goroutine (\d+), which waits to write; 1 more waits for it\b.*\ngoroutine \d+ \[sync.RWMutex.*\]:\n(.+\n)*?read_twice::quote\b";
    let note = regex_lite::Regex::new(note).unwrap();
    let writer = &note.captures(&page).unwrap_or_else(|| panic!("{page}"))[3];
    assert!(
        page.contains(&format!(" behind goroutine {writer}, which has asked")),
        "{page}"
    );
    let block =
        format!(r"(?m)^goroutine {writer} \[sync.RWMutex.*\]:\n(.+\n)*?read_twice::reload\b");
    assert!(
        regex_lite::Regex::new(&block).unwrap().is_match(&page),
        "{page}"
    );
    // Without full debug information a read and a write have the same name.
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
