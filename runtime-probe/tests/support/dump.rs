//! The dump of this process, `debug=2`.

use runtime_probe::pprof;
use std::time::{Duration, Instant};

/// The current dump.
pub fn dump() -> String {
    let mut text = Vec::new();
    let goroutine = pprof::lookup("goroutine").unwrap();
    goroutine.write_to(&mut text, 2).unwrap();
    String::from_utf8(text).unwrap()
}

/// The first dump that is as expected. Panics if there is none for longer than any step takes.
#[track_caller]
pub fn until(is: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = dump();
        if is(&text) {
            return text;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
