//! Words of dumps: bare, or quoted as by Go's `strconv.Quote`.

/// Takes the name at the start of a remark. Returns the name and the rest.
pub(super) fn take_name(text: &str) -> Option<(String, &str)> {
    take(text, |c| is_bare(c) || matches!(c, '-' | ':'))
}

/// Takes the key or the value of a label. Returns the word and the rest.
pub(super) fn take_label(text: &str) -> Option<(String, &str)> {
    take(text, is_bare)
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_')
}

fn take(text: &str, is_bare: impl Fn(char) -> bool) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return unquote(quoted);
    }
    let (word, rest) = text.split_at(text.find(|c| !is_bare(c)).unwrap_or(text.len()));
    (!word.is_empty()).then(|| (word.to_owned(), rest))
}

/// Reads up to the closing quotation mark. Returns the text and the rest.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => {
                let (_, escape) = chars.next()?;
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                if digits == 0 {
                    out.push(match escape {
                        'a' => '\u{07}',
                        'b' => '\u{08}',
                        'f' => '\u{0c}',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'v' => '\u{0b}',
                        other => other,
                    });
                    continue;
                }
                let mut code = 0_u32;
                for _ in 0..digits {
                    code = code
                        .wrapping_mul(16)
                        .wrapping_add(chars.next()?.1.to_digit(16)?);
                }
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_quoted_comes_back() {
        for text in [
            "conn-12",
            "app::x",
            "",
            "two words",
            "a\"b\\c\n\u{1}\u{7f}",
            "\u{e9}\u{85}",
        ] {
            let mut quoted = Vec::new();
            crate::text::quoted::push_name(&mut quoted, text);
            let quoted = String::from_utf8(quoted).unwrap() + ", rest";
            assert_eq!(take_name(&quoted), Some((text.to_owned(), ", rest")));
        }
        assert_eq!(
            take_label("key: value"),
            Some(("key".to_owned(), ": value"))
        );
        assert_eq!(take_name("\"open"), None);
    }
}
