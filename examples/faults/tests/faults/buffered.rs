//! A lock that was given to a future of a stream, while the consumer of the stream waits for the lock.

use crate::process::{Faulty, line, never};

#[test]
fn the_stream_that_is_not_polled_is_named() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_buffered"), &[]);
    let next = line("buffered", "fetched.next().await");
    let add = line("buffered", "prices.lock().await.sum += price");
    let page = shop.must(
        "goroutine?debug=2",
        &format!(
            r"^# .*, was given a Mutex<buffered::Prices> [\d.]+m?s ago, through the future that waited at buffered::.* \(.*buffered.rs:{next}\), which it has not polled since: 1 waits behind it, waits for a Mutex<buffered::Prices>, which it was given itself; .*\ngoroutine \d+ \[sync.Mutex.Lock\]:\n(.+\n)*?.*buffered.rs:{add}\b"
        ),
    );
    never(&page, "deadlock|held by");
    // One task, at two places.
    shop.must(
        "locks",
        &format!(
            r"^\tgiven to goroutine \d+, which has been polled since without taking it.*\n\t2 wait, the first for .*\n(.*\n)*?\t\t1 at buffered::.*buffered.rs:{next}\), in an earlier poll: goroutine \d+$"
        ),
    );
    shop.must(
        "locks",
        &format!(r"^\t\t1 at buffered::.*buffered.rs:{add}\) \[sync.Mutex.Lock\]: goroutine \d+$"),
    );
}

#[test]
fn a_stream_that_is_polled_to_its_end() {
    let shop = Faulty::start(env!("CARGO_BIN_EXE_buffered"), &["repaired"]);
    shop.goes_on(
        "tasks?debug=1",
        r"buffered::collect\nalive 1, .*, polls \d{2,}$",
    );
}
