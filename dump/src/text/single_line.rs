//! Foreign text within a line of a dump.
//!
//! All formats here consist of lines, and some of brackets. Names, paths and reasons come from the program that is
//! dumped. A line break in one of them would split a block, so characters that break the grammar are replaced. In
//! practice none occurs; the check is one pass over the bytes.

use crate::printable::is_printable;
use crate::source_path::shortened;

/// Appends `text` without line breaks, tabs and other control characters.
pub(crate) fn push_single_line(out: &mut Vec<u8>, text: &str) {
    push_replaced(out, text, printable);
}

/// Appends the name of a function, which is never empty.
pub(crate) fn push_function(out: &mut Vec<u8>, name: &str) {
    push_single_line(out, or(name, "unknown"));
}

/// Appends the name of a function of a goroutine dump. Parentheses are replaced: the first one begins the arguments.
pub(crate) fn push_called_function(out: &mut Vec<u8>, name: &str) {
    push_replaced(out, or(name, "unknown"), |c| match c {
        '(' => '[',
        ')' => ']',
        c => printable(c),
    });
}

/// Appends the text in the brackets of a goroutine's header. Closing brackets are replaced: the first one ends the
/// text.
pub(crate) fn push_reason(out: &mut Vec<u8>, reason: &str) {
    push_replaced(out, reason, |c| match c {
        '[' => '(',
        ']' => ')',
        c => printable(c),
    });
}

/// Appends the path of a source file.
pub(crate) fn push_file(out: &mut Vec<u8>, file: &str) {
    push_single_line(out, or(shortened(file), "??"));
}

fn or<'a>(text: &'a str, substitute: &'a str) -> &'a str {
    if text.is_empty() { substitute } else { text }
}

/// Replaces characters that a terminal acts on.
fn printable(c: char) -> char {
    if is_printable(c) { c } else { '?' }
}

/// Appends `text` with each character passed through `replace`. `replace` MUST return printable ASCII unchanged,
/// brackets excepted. Otherwise the check of the bytes misses characters to replace.
fn push_replaced(out: &mut Vec<u8>, text: &str, replace: impl Fn(char) -> char) {
    // `all` stops early. Without an early stop the compiler checks 16 bytes at a time.
    let unchanged =
        |byte: &u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'(' | b')' | b'[' | b']');
    if text
        .as_bytes()
        .iter()
        .fold(true, |so_far, byte| so_far & unchanged(byte))
    {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut utf8 = [0; 4];
    for c in text.chars() {
        out.extend_from_slice(replace(c).encode_utf8(&mut utf8).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(push: fn(&mut Vec<u8>, &str), text: &str) -> String {
        let mut out = Vec::new();
        push(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_breaks_the_grammar_is_replaced() {
        assert_eq!(
            pushed(push_single_line, "a\nb\tc\u{85}d\u{2028}e é\u{202e}f"),
            "a?b?c?d?e é?f"
        );
        assert_eq!(
            pushed(push_called_function, "<fn(u8) as F>::call"),
            "<fn[u8] as F>::call"
        );
        assert_eq!(pushed(push_function, ""), "unknown");
        assert_eq!(pushed(push_reason, "chan receive [x]"), "chan receive (x)");
        assert_eq!(pushed(push_file, ""), "??");
    }
}
