//! Percent-decoding, and the parameters of a query string.
//!
//! Stricter than Go: Go drops a pair that it cannot decode and answers without it. Here it is refused, since a typo
//! in `seconds` must not silently measure something else. A `;` is an ordinary character.

use super::refusal::Refusal;

/// The meaning of a `+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// A plus sign, as in a path.
    Literal,
    /// A space, as in a form.
    Space,
}

/// Splits `name=value&name=value` and decodes both sides. A name without `=` has an empty value; empty pairs are
/// skipped.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, Plus::Space)?, decode(value, Plus::Space)?))
        })
        .collect()
}

/// Decodes `%XX`; the result must be UTF-8.
pub fn decode(text: &str, plus: Plus) -> Result<String, Refusal> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match (byte, plus) {
            (b'%', _) => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(bad("a % is not followed by two hexadecimal digits")),
            },
            (b'+', Plus::Space) => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| bad("the percent-encoding is not that of UTF-8 text"))
}

fn hex(digit: Option<u8>) -> Option<u8> {
    match digit? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn bad(sentence: &'static str) -> Refusal {
    Refusal::bad_request(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_split_and_decoded() {
        let expect = |query, wanted: &[(&str, &str)]| {
            let wanted: Vec<_> = wanted
                .iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect();
            assert_eq!(pairs(query).unwrap(), wanted, "{query}");
        };
        expect("", &[]);
        expect("debug=1", &[("debug", "1")]);
        expect("debug", &[("debug", "")]);
        expect("a=b=c&&d=", &[("a", "b=c"), ("d", "")]);
        expect("na%6De=a%20b+c%2B", &[("name", "a b c+")]);
        expect("%C3%A9=%c3%a9", &[("é", "é")]);
        expect("0x10+0x20", &[("0x10 0x20", "")]);
    }

    #[test]
    fn bad_encodings_are_refused() {
        for query in [
            "a=%", "a=%4", "a=%zz", "%G0=1", "a=%ff", "a=%c3", "a=%+1", "a=%é",
        ] {
            assert_eq!(pairs(query).unwrap_err().status(), 400, "{query}");
        }
    }

    #[test]
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(decode("/a+b%2f", Plus::Literal).unwrap(), "/a+b/");
    }

    proptest! {
        #[test]
        fn encoding_everything_and_decoding_is_the_identity(text in any::<String>()) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(&encoded, Plus::Space).unwrap(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[%+&=;0-9a-fé\u{0}]{0,40}") {
            let _ = pairs(&text);
        }
    }
}
