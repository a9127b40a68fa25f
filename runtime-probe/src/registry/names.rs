//! The names that users give to tasks: each is a number, which fits into a record, and a text.
//!
//! A text is kept once for all tasks that have it, for as long as one of them lives. So a server that names each task
//! after its connection keeps as many texts as it has connections. A [`Name`] holds the text, and the wrapper around
//! the task holds the [`Name`], so a task without a name has no cost. Numbers are not reused, so a late reader finds no
//! name instead of another task's.

use crate::primitive;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

/// The number of a name, as in a record. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameNumber(pub(crate) u32);

/// The most bytes of a name.
const LONGEST: usize = 256;

/// How many texts are looked up with the table locked. Spawns of named tasks wait for that time.
const BATCH: usize = 1024;

#[derive(Default)]
struct Table {
    last: u32,
    /// By text: its number, and how many tasks have it.
    numbers: HashMap<Arc<str>, (NameNumber, usize)>,
    texts: HashMap<NameNumber, Arc<str>>,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Table>> {
    primitive::lock(&TABLE)
}

/// A reference to a name.
#[derive(Debug)]
pub(crate) struct Name(NameNumber);

impl Name {
    /// Enters a name, cut off at [`LONGEST`].
    pub(crate) fn new(text: &str) -> Self {
        let mut kept = text.len().min(LONGEST);
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        let text: Arc<str> = text[..kept].into();
        let mut table = lock();
        let Table {
            last,
            numbers,
            texts,
        } = table.get_or_insert_default();
        match numbers.entry(text) {
            Entry::Occupied(mut known) => {
                let (number, tasks) = known.get_mut();
                *tasks += 1;
                Name(*number)
            }
            Entry::Vacant(unknown) => {
                // After 2^32 names the numbers wrap; those in use are skipped.
                loop {
                    *last = last.wrapping_add(1).max(1);
                    if !texts.contains_key(&NameNumber(*last)) {
                        break;
                    }
                }
                let number = NameNumber(*last);
                texts.insert(number, unknown.key().clone());
                unknown.insert((number, 1));
                Name(number)
            }
        }
    }

    /// The number for a record.
    pub(crate) fn number(&self) -> NameNumber {
        self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut table = lock();
        let Some(Table { numbers, texts, .. }) = table.as_mut() else {
            return;
        };
        let Some(text) = texts.get(&self.0) else {
            return;
        };
        if let Some((_, tasks)) = numbers.get_mut(text) {
            *tasks -= 1;
            if *tasks > 0 {
                return;
            }
        }
        numbers.remove(text);
        texts.remove(&self.0);
    }
}

/// The texts of those `numbers` that are in use.
pub(crate) fn texts(numbers: &[NameNumber]) -> HashMap<NameNumber, Arc<str>> {
    let mut found = HashMap::with_capacity(numbers.len());
    for batch in numbers.chunks(BATCH) {
        if let Some(table) = lock().as_ref() {
            found.extend(
                batch
                    .iter()
                    .filter_map(|number| Some((*number, table.texts.get(number)?.clone()))),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_as_long_as_it_is_used() {
        let (one, two) = (Name::new("kept once"), Name::new("kept once"));
        let number = one.number();
        assert_eq!(number, two.number());
        drop(one);
        assert_eq!(&*texts(&[number])[&number], "kept once");
        drop(two);
        assert!(texts(&[number]).is_empty());
        let again = Name::new("kept once");
        assert_ne!(again.number(), number, "a number is not used again");
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        let name = Name::new(&"é".repeat(LONGEST));
        let text = texts(&[name.number()]).remove(&name.number()).unwrap();
        assert_eq!(&*text, "é".repeat(LONGEST / 2));
        let odd = Name::new(&format!("x{}", "é".repeat(LONGEST)));
        let text = texts(&[odd.number()]).remove(&odd.number()).unwrap();
        assert_eq!(text.len(), LONGEST - 1);
    }

    #[test]
    fn many_names_are_found_in_batches() {
        let names: Vec<Name> = (0..2 * BATCH + 1)
            .map(|i| Name::new(&format!("batch {i}")))
            .collect();
        let numbers: Vec<NameNumber> = names.iter().map(Name::number).collect();
        let found = texts(&numbers);
        assert_eq!(found.len(), names.len());
        assert_eq!(&*found[&numbers[BATCH]], format!("batch {BATCH}"));
    }
}
