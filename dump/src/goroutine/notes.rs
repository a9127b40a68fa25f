//! The notes on a task, all in one text. Most tasks of a decoded dump have notes. Memory for each note took as long as
//! its text.

use crate::text::digits::{decimal, hex};

/// How many notes of a task need no memory to be passed on.
const FEW: usize = 8;

/// The notes on a task.
///
/// ```
/// use runtime_dump::goroutine::notes::{Notes, push_decimal};
///
/// let mut notes = Notes::default();
/// notes.extend(["decoded"]);
/// notes.add(|text| {
///     text.push_str("woken by goroutine ");
///     push_decimal(text, 7);
///     Some(())
/// });
/// notes.add(|text| {
///     text.push_str("unknown");
///     None
/// });
/// notes.with(|notes| assert_eq!(notes, ["decoded", "woken by goroutine 7"]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    text: String,
    /// The end of each note in the text.
    ends: Vec<usize>,
}

impl Notes {
    /// Removes all notes, and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Adds the note that `write` appends to a text. If it returns `None` no note is added.
    pub fn add(&mut self, write: impl FnOnce(&mut String) -> Option<()>) {
        let start = self.text.len();
        match write(&mut self.text) {
            Some(()) => self.ends.push(self.text.len()),
            None => self.text.truncate(start),
        }
    }

    /// Like `add`, unless the same note is among those after the first `since` ones.
    pub fn add_new(&mut self, since: usize, write: impl FnOnce(&mut String) -> Option<()>) {
        let (start, before) = (self.text.len(), self.ends.len());
        self.add(write);
        let new = &self.text[start..];
        let is_known = self.ends.len() > before
            && self
                .iter()
                .take(before)
                .skip(since)
                .any(|known| known == new);
        if is_known {
            self.text.truncate(start);
            self.ends.truncate(before);
        }
    }

    /// The number of notes.
    #[expect(clippy::len_without_is_empty, reason = "no caller asks")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The notes, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let notes = starts.zip(&self.ends);
        notes.map(|(start, end)| &self.text[*start..*end])
    }

    /// Passes all notes, as a [`Goroutine`](super::Goroutine) has them.
    pub fn with<R>(&self, use_them: impl FnOnce(&[&str]) -> R) -> R {
        let mut few = [""; FEW];
        match few.get_mut(..self.ends.len()) {
            Some(few) => {
                few.iter_mut()
                    .zip(self.iter())
                    .for_each(|(place, note)| *place = note);
                use_them(few)
            }
            None => use_them(&self.iter().collect::<Vec<_>>()),
        }
    }
}

impl<S: AsRef<str>> Extend<S> for Notes {
    fn extend<I: IntoIterator<Item = S>>(&mut self, notes: I) {
        for note in notes {
            self.add(|text| {
                text.push_str(note.as_ref());
                Some(())
            });
        }
    }
}

/// Appends a number in decimal, in half the time of `write!`.
pub fn push_decimal(out: &mut String, value: u64) {
    let (digits, length) = decimal(value);
    push_digits(out, &digits[..length]);
}

/// Appends a number in hexadecimal after `0x`.
pub fn push_hex(out: &mut String, value: u64) {
    let (digits, start) = hex(value);
    out.push_str("0x");
    push_digits(out, &digits[start..]);
}

fn push_digits(out: &mut String, digits: &[u8]) {
    // Digits are ASCII.
    out.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(notes: &Notes) -> Vec<String> {
        notes.with(|notes| notes.iter().map(|note| (*note).to_owned()).collect())
    }

    #[test]
    fn any_number_of_notes_is_passed_on() {
        let mut notes = Notes::default();
        for count in 0..3 * FEW {
            let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            assert_eq!(all(&notes), expected);
            notes.add(|text| {
                push_decimal(text, count as u64);
                Some(())
            });
        }
        notes.clear();
        assert_eq!(all(&notes), [""; 0]);
    }

    #[test]
    fn a_note_that_is_there_is_not_added_again() {
        let mut notes = Notes::default();
        notes.extend(["ab"]);
        for note in ["a", "b", "a", "", "", "ab", "ab"] {
            notes.add_new(1, |text| {
                text.push_str(note);
                Some(())
            });
        }
        notes.add_new(1, |_| None);
        assert_eq!(all(&notes), ["ab", "a", "b", "", "ab"]);
    }

    #[test]
    fn numbers_print_as_fmt_prints_them() {
        for value in [0, 9, 10, 99, 100, 0xdead_beef, u64::MAX] {
            let mut text = String::new();
            push_decimal(&mut text, value);
            push_hex(&mut text, value);
            assert_eq!(text, format!("{value}{value:#x}"));
        }
    }
}
