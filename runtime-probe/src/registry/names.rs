//! The names that users give to tasks: a number that fits into a record, and the text behind it.
//!
//! A text is kept once, however many tasks have it, and for as long as one of them lives: a server that names each task
//! after its connection keeps as many texts as it has connections. A [`Name`] holds the text. The wrapper
//! around the task holds the name, so a task without a name pays nothing. Numbers are not used again, so that a reader who
//! comes late finds no name, and never another task's.

use crate::primitive;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

/// A name in a record. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameNumber(pub(crate) u32);

/// What is kept of a name, in bytes: more than is read in a line of a dump.
const LONGEST: usize = 256;

/// How many texts are looked up at a time: spawns of named tasks wait that long.
const BATCH: usize = 1024;

#[derive(Default)]
struct Table {
    last: u32,
    /// With how many tasks have the text.
    numbers: HashMap<Arc<str>, (NameNumber, usize)>,
    texts: HashMap<NameNumber, Arc<str>>,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Table>> {
    primitive::lock(&TABLE)
}

/// A name in use.
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
                // After four thousand million names numbers come again; those in use are passed over.
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

    /// What stands for it in a record.
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

/// The texts of `numbers` whose tasks are still there.
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
