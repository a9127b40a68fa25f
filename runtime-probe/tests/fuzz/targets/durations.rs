//! Durations in Go's format, against a reader that was written from Go's documentation.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|text: &str| {
    assert_eq!(fuzz::duration(text), read(text), "{text:?}");
});

fn read(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut sum: u128 = 0;
    let mut rest = text;
    loop {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (digits, behind) = rest.split_at(rest.len() - number.len());
        let unit = behind.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.');
        let (name, behind) = behind.split_at(behind.len() - unit.len());
        sum += nanoseconds(digits, unit_of(name)?)?;
        rest = behind;
        if rest.is_empty() {
            return u64::try_from(sum).ok().map(Duration::from_nanos);
        }
    }
}

fn unit_of(name: &str) -> Option<u128> {
    Some(match name {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 60 * 60 * 1_000_000_000,
        _ => return None,
    })
}

/// `None` for text that is no number, and for a number that is too long.
fn nanoseconds(digits: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let value = |digit: char| digit.to_digit(10).map(u128::from);
    let mut sum: u128 = 0;
    for digit in whole.chars() {
        sum = sum * 10 + value(digit)?;
        u64::try_from(sum).ok()?;
    }
    // Digits after the 18th are less than a nanosecond in any unit.
    let mut part = 0;
    for digit in fraction
        .chars()
        .take(18)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        part = (part + value(digit)? * unit) / 10;
    }
    Some(sum * unit + part)
}
