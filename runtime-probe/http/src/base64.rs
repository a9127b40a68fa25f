//! Base64 of Basic credentials.
//!
//! Thirty lines instead of a crate: no other module needs it.

/// Decodes the standard alphabet; the padding may be missing. `None` for anything that is not the encoding of bytes.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > 2 || padding > 0 && !text.len().is_multiple_of(4) {
        return None;
    }
    let mut decoded = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for &digit in group {
            bits = bits << 6 | u32::from(value(digit)?);
        }
        // 2 digits have 12 bits, 8 of them are a byte; 3 digits have 18 bits, which are 2 bytes. The remaining bits
        // must be 0.
        let bytes = group.len().checked_sub(1).filter(|bytes| *bytes > 0)?;
        let spare = group.len() * 6 - bytes * 8;
        if bits & ((1 << spare) - 1) != 0 {
            return None;
        }
        let aligned = bits << (24 - group.len() * 6);
        decoded.extend(aligned.to_be_bytes().iter().skip(1).take(bytes));
    }
    Some(decoded)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn encode(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bit = |n: usize| bytes.get(n / 8).map_or(0, |byte| byte >> (7 - n % 8) & 1);
        let digit = |first| (first..first + 6).fold(0, |digit, n| digit << 1 | bit(n));
        let mut text: String = (0..bytes.len() * 8)
            .step_by(6)
            .map(|first| char::from(DIGITS[usize::from(digit(first))]))
            .collect();
        while !text.len().is_multiple_of(4) {
            text.push('=');
        }
        text
    }

    #[test]
    fn what_rfc_4648_encodes_is_decoded() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYmE", "fooba"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_encodes_nothing_is_refused() {
        for text in [
            "Z", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "Zm 9", "Zm9v\n", "Zm-_", "=Zg=", "Zm9vY",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[A-Za-z+/=é]{0,20}") {
            let _ = decode(&text);
        }
    }
}
