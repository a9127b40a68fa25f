//! Characters that a reader's terminal or browser shows, and does not act on.

/// Whether the character is shown where it stands. Control characters are not, nor are the characters that end a line or
/// change the direction of the text after them: a name with one of these could show the rest of its line reversed.
/// All other characters are, also the joiners within words, which Go's `strconv.IsPrint` excludes.
///
/// # Examples
///
/// ```
/// use runtime_dump::printable::is_printable;
///
/// assert!(is_printable('é') && is_printable(' '));
/// assert!(!is_printable('\u{1b}') && !is_printable('\u{202e}'));
/// ```
#[must_use]
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
