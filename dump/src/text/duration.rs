//! Durations for readers: one unit below a minute, at most three decimals.
//!
//! Decimals are cut, not rounded. A task that waits for 59.9996 s has not waited for a minute. The minutes in the
//! header are cut, too.

use crate::text::digits::push_decimal;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;

/// Nanoseconds of a minute.
pub(crate) const MINUTE: u64 = 60 * SECOND;

const HOUR: u64 = 60 * MINUTE;

/// Appends a duration: `850ns`, `20us`, `3.25ms`, `12.345s`, `2m5.5s`, `26h0m1s`.
pub(crate) fn push_duration(out: &mut Vec<u8>, ns: u64) {
    match ns {
        0 => out.extend_from_slice(b"0s"),
        1..MICROSECOND => push_in::<1>(out, ns, b"ns"),
        MICROSECOND..MILLISECOND => push_in::<MICROSECOND>(out, ns, b"us"),
        MILLISECOND..SECOND => push_in::<MILLISECOND>(out, ns, b"ms"),
        SECOND..MINUTE => push_in::<SECOND>(out, ns, b"s"),
        MINUTE.. => {
            if ns >= HOUR {
                push_decimal(out, ns / HOUR);
                out.push(b'h');
            }
            push_decimal(out, ns % HOUR / MINUTE);
            out.push(b'm');
            push_in::<SECOND>(out, ns % MINUTE, b"s");
        }
    }
}

/// Appends a duration in one unit. The unit is a constant, so the divisions compile to multiplications.
fn push_in<const UNIT: u64>(out: &mut Vec<u8>, ns: u64, name: &[u8]) {
    push_decimal(out, ns / UNIT);
    push_thousandths(out, ns % UNIT * 1000 / UNIT);
    out.extend_from_slice(name);
}

/// Appends `.123` without trailing zeros. Appends nothing for 0.
fn push_thousandths(out: &mut Vec<u8>, thousandths: u64) {
    if thousandths == 0 {
        return;
    }
    out.push(b'.');
    for divisor in [100, 10, 1] {
        out.push(b'0' + (thousandths / divisor % 10) as u8);
        if thousandths.is_multiple_of(divisor) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_compact() {
        let cases = [
            (0, "0s"),
            (850, "850ns"),
            (20_000, "20us"),
            (20_125, "20.125us"),
            (3_000_000, "3ms"),
            (3_250_999, "3.25ms"),
            (999_999_999, "999.999ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (12_345_678_901, "12.345s"),
            (59_999_999_999, "59.999s"),
            (60_000_000_000, "1m0s"),
            (125_500_000_000, "2m5.5s"),
            (93_601_000_000_000, "26h0m1s"),
            (u64::MAX, "5124095h34m33.709s"),
        ];
        for (ns, expected) in cases {
            let mut text = Vec::new();
            push_duration(&mut text, ns);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
