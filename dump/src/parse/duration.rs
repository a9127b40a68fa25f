//! Durations as the texts have them: `850ns`, `3.25ms`, `2m5.5s`, `26h0m1s`.

/// Parses a duration in Go's form into nanoseconds. Returns `None` for other texts and above 2^64 ns. Fractions of a
/// nanosecond are cut off.
///
/// ```
/// use runtime_dump::parse::duration_ns;
///
/// assert_eq!(duration_ns("1m2.5s"), Some(62_500_000_000));
/// assert_eq!(duration_ns("5"), None);
/// ```
pub fn duration_ns(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if text.is_empty() {
        return None;
    }
    let mut sum = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(end);
        let end = behind
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let whole: u64 = whole.parse().ok()?;
        // Digits after the 18th are less than a nanosecond of the longest unit.
        let digits = fraction.len().min(18);
        let fraction: u64 = fraction.get(..digits)?.parse().ok()?;
        let part =
            u128::from(fraction) * u128::from(*unit) / 10_u128.pow(u32::try_from(digits).ok()?);
        sum = sum
            .checked_add(whole.checked_mul(*unit)?)?
            .checked_add(u64::try_from(part).ok()?)?;
        rest = behind;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::duration_ns;

    #[test]
    fn what_is_written_is_read() {
        for ns in [
            0,
            850,
            20_125,
            3_000_000,
            3_250_000,
            1_050_000_000,
            125_500_000_000,
            93_601_000_000_000,
        ] {
            let mut text = Vec::new();
            crate::text::duration::push_duration(&mut text, ns);
            assert_eq!(duration_ns(&String::from_utf8(text).unwrap()), Some(ns));
        }
        for text in [
            "",
            "s",
            "1",
            "1.s",
            ".5s",
            "1..5s",
            "5x",
            "-1s",
            "99999999999h",
        ] {
            assert_eq!(duration_ns(text), None, "{text}");
        }
    }
}
