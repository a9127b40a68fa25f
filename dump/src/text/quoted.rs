//! Strings in quotation marks as Go's `strconv.Quote` writes them.

use crate::printable::is_printable;

/// Appends `name` bare if it is one plain word, otherwise quoted.
///
/// Go's dumps quote labels with any character beside `[A-Za-z0-9./_]`. Here `-` and `:` stay bare, too: names of tasks
/// are full of them.
pub(crate) fn push_name(out: &mut Vec<u8>, name: &str) {
    let plain = |byte: u8| is_bare(byte) || matches!(byte, b'-' | b':');
    push_where(out, name, plain);
}

/// Appends a label's key or value, bare or quoted as in Go's dumps.
pub(crate) fn push_bare_or_quoted(out: &mut Vec<u8>, text: &str) {
    push_where(out, text, is_bare);
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'_')
}

fn push_where(out: &mut Vec<u8>, text: &str, plain: impl Fn(u8) -> bool) {
    if !text.is_empty() && text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_quoted(out, text);
    }
}

/// Appends `text` in quotation marks.
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut utf8 = [0; 4];
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{07}' => out.extend_from_slice(b"\\a"),
            '\u{08}' => out.extend_from_slice(b"\\b"),
            '\u{0c}' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{0b}' => out.extend_from_slice(b"\\v"),
            '\0'..' ' | '\u{7f}' => {
                out.extend_from_slice(format!("\\x{:02x}", u32::from(c)).as_bytes())
            }
            c if !is_printable(c) || matches!(c, '\u{a0}' | '\u{feff}') => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_odd_names_are_quoted() {
        let cases = [
            ("conn-12", "conn-12"),
            ("app::acceptor/1.0", "app::acceptor/1.0"),
            ("", r#""""#),
            ("two words", r#""two words""#),
            ("a\"b\\c\n\u{1}\u{7f}", r#""a\"b\\c\n\x01\x7f""#),
            ("é\u{85}", "\"é\\u0085\""),
            ("a\u{202e}b", "\"a\\u202eb\""),
        ];
        for (name, expected) in cases {
            let mut out = Vec::new();
            push_name(&mut out, name);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
