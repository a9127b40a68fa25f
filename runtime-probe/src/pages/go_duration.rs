//! Durations as Go writes them: `300ms`, `1h2m3.5s`.

use std::time::Duration;

/// Nanoseconds of each unit. The micro sign and the Greek letter look alike.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses what Go's `time.ParseDuration` parses, except negative durations and those above 2^64 nanoseconds (584
/// years). Fractions of a nanosecond are cut off. The error is the end of a sentence.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    const NONE: &str = "must be a duration, such as 300ms, 10s or 1h2m3.5s";
    if text.starts_with('-') {
        return Err("must not be negative");
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(NONE);
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(NONE);
        }
        let unit = behind.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, behind) = behind.split_at(unit.unwrap_or(behind.len()));
        let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(NONE)?;
        sum = nanoseconds(whole, fraction, *unit_ns)
            .and_then(|ns| sum.checked_add(ns))
            .ok_or("too long: at most 584 years are understood")?;
        rest = behind;
    }
    Ok(Duration::from_nanos(sum))
}

/// Splits a text after its leading digits.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn nanoseconds(whole: &str, fraction: &str, unit_ns: u64) -> Option<u64> {
    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    // 18 digits times an hour fit into a u128; further digits are below a nanosecond.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = match fraction {
        "" => 0,
        digits => {
            let scale = 10_u128.pow(digits.len() as u32);
            digits.parse::<u128>().ok()? * u128::from(unit_ns) / scale
        }
    };
    whole
        .checked_mul(unit_ns)?
        .checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_gos() {
        for (text, ns) in [
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("30m0s", 1_800_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("300ms", 300_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("39h9m14.425s", 140_954_425_000_000),
            ("12\u{b5}s12\u{3bc}s12us12ns", 36_012),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("1.999999999999999999999ns", 1),
            ("18446744073709551615ns", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "", "3", "+", "s", ".", ".s", "+.s", "1..5s", "10 s", "10S", "10sec", "1h30", "é",
            "1e3s",
        ] {
            assert!(
                parse(text).unwrap_err().starts_with("must be a duration"),
                "{text}"
            );
        }
        assert_eq!(parse("-1s"), Err("must not be negative"));
        for text in [
            "18446744073709551616ns",
            "600000000000h",
            "9999999999999999999999s",
            "18446744073s1h",
        ] {
            assert!(parse(text).unwrap_err().starts_with("too long"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9.hmsnu+é\u{b5}-]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_said_in_milliseconds_is_read(ms: u32) {
            prop_assert_eq!(parse(&format!("{ms}ms")), Ok(Duration::from_millis(ms.into())));
        }
    }
}
