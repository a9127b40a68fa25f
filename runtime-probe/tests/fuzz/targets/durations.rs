//! Durations as Go writes them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|text: &str| {
    if let Some(duration) = fuzz::duration(text) {
        let known = |c: char| c.is_ascii_digit() || "hmnsu.+\u{b5}\u{3bc}".contains(c);
        assert!(text.chars().all(known), "{text:?}");
        assert_eq!(
            fuzz::duration(&format!("{}ns", duration.as_nanos())),
            Some(duration)
        );
        // What is appended is added, if the sum is not too long.
        if text.ends_with(char::is_alphabetic)
            && let Some(longer) = fuzz::duration(&format!("{text}1.5us"))
        {
            assert_eq!(longer, duration + Duration::from_nanos(1500));
        }
    }
});
