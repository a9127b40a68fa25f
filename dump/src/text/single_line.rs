//! Foreign text within a line of a dump.
//!
//! Every format here is made of lines, and some of brackets. Names, paths and reasons come from the program that is
//! dumped: a line break in one of them would tear a block apart, so what would break the grammar is replaced. In
//! practice nothing is; the check is one pass over the bytes.

use crate::source_path::shortened;

/// Appends `text` without line breaks, tabs and other control characters.
pub(crate) fn push_single_line(out: &mut Vec<u8>, text: &str) {
    push_replaced(out, text, printable);
}

/// Appends the name of a function, which is never empty.
pub(crate) fn push_function(out: &mut Vec<u8>, name: &str) {
    push_single_line(out, or(name, "unknown"));
}

/// Appends the name of a function of a goroutine dump: the first parenthesis there starts the arguments.
pub(crate) fn push_called_function(out: &mut Vec<u8>, name: &str) {
    push_replaced(out, or(name, "unknown"), |c| match c {
        '(' => '[',
        ')' => ']',
        c => printable(c),
    });
}

/// Appends what stands in the brackets of a goroutine's header: the first closing bracket there ends it.
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

/// Replaces what a terminal or a reader of lines would take for the end of a line, or act on.
fn printable(c: char) -> char {
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        '?'
    } else {
        c
    }
}

/// Appends `text` with each character replaced. `replace` MUST leave printable ASCII as it is, brackets excepted.
/// Otherwise the pass over the bytes would not see what there is to replace.
fn push_replaced(out: &mut Vec<u8>, text: &str, replace: impl Fn(char) -> char) {
    // Not `all`, which stops early: without that the compiler checks 16 bytes at a time.
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
            pushed(push_single_line, "a\nb\tc\u{85}d\u{2028}e é"),
            "a?b?c?d?e é"
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
