//! Integers as text, without `fmt`.
//!
//! A dump of 100,000 tasks holds about a million integers. They are most of the bytes that cannot be cached, and
//! `write!` takes about twice as long for each.

/// The longest decimal: `u64::MAX` has 20 digits.
const LONGEST_DECIMAL: usize = 20;

/// The longest hexadecimal: 16 digits.
const LONGEST_HEX: usize = 16;

/// The pairs `00` to `99`: one division yields two digits.
static PAIRS: [[u8; 2]; 100] = pairs();

/// The digits of `value` in decimal, and how many there are.
#[inline]
pub(crate) fn decimal(mut value: u64) -> ([u8; LONGEST_DECIMAL], usize) {
    let mut digits = [0; LONGEST_DECIMAL];
    let length = value.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut end = length;
    while value >= 100 {
        digits[end - 2..end].copy_from_slice(&PAIRS[(value % 100) as usize]);
        end -= 2;
        value /= 100;
    }
    let [tens, ones] = PAIRS[value as usize];
    digits[end - 1] = ones;
    if end == 2 {
        digits[0] = tens;
    }
    (digits, length)
}

/// The digits of `value` in lower-case hexadecimal, without padding, and where they begin.
#[inline]
pub(crate) fn hex(mut value: u64) -> ([u8; LONGEST_HEX], usize) {
    let mut digits = [0; LONGEST_HEX];
    let mut start = LONGEST_HEX;
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
        if value == 0 {
            return (digits, start);
        }
    }
}

/// Appends `value` in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, value: u64) {
    let (digits, length) = decimal(value);
    // A copy of a fixed length takes three instructions. A copy of `length` bytes is a call.
    let start = out.len();
    out.extend_from_slice(&digits);
    out.truncate(start + length);
}

/// Appends `value` in lower-case hexadecimal after `0x`, without padding, the only form that pprof's parser accepts.
pub(crate) fn push_hex(out: &mut Vec<u8>, value: u64) {
    let (digits, start) = hex(value);
    out.extend_from_slice(b"0x");
    out.extend_from_slice(&digits[start..]);
}

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_fmt_prints_them() {
        let mut values = vec![u64::MAX];
        for shift in 0..64 {
            values.extend([(1_u64 << shift) - 1, 1 << shift]);
        }
        for power in 0..20 {
            values.extend([10_u64.pow(power) - 1, 10_u64.pow(power)]);
        }
        for value in values {
            let mut text = Vec::new();
            push_decimal(&mut text, value);
            text.push(b' ');
            push_hex(&mut text, value);
            assert_eq!(
                String::from_utf8(text).unwrap(),
                format!("{value} {value:#x}")
            );
        }
    }
}
