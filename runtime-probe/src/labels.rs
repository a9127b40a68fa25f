//! Sets of labels that the program gives to its tasks, as Go's `pprof.Labels`. Each set has a number.
//!
//! A number fits beside an address in one word of a task's record, and a signal handler copies it. Sets are interned
//! without a lock and never removed: samples keep their numbers for as long as the process lives. The number of sets is
//! bounded. All further sets are [`LabelSet::OVERFLOW`], so the memory is bounded too if a label has too many values
//! (such as the id of a request).

use crate::primitive::{AtomicUsize, Ordering};
use crate::stack::intern::{Intern, mix};
use std::sync::{LazyLock, OnceLock};

/// The most sets: with a route and a tenant of 20 bytes each 150 B, so 600 KB.
pub(crate) const MOST_SETS: usize = 4095;

/// The most labels in a set.
pub(crate) const MOST_LABELS: usize = 16;

/// The most bytes of a key or a value.
const LONGEST: usize = 256;

/// A key and its value.
pub(crate) type Label = (Box<str>, Box<str>);

/// The number of a set of labels; by default the empty set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LabelSet(u16);

struct Entry {
    set: LabelSet,
    labels: Box<[Label]>,
}

static ENTRIES: Intern<Entry, 1024> = Intern::new(MOST_SETS);
/// The entries by number. Every thread that finds an entry writes it here first, so a thread that has a number can read
/// its labels.
static BY_NUMBER: [OnceLock<&'static Entry>; MOST_SETS + 1] =
    [const { OnceLock::new() }; MOST_SETS + 1];
/// The last number that was used. A number stays without an entry if another thread made the same set sooner.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// How many sets there are.
pub(crate) fn count() -> usize {
    ENTRIES.len()
}

impl LabelSet {
    /// No labels.
    pub(crate) const NONE: LabelSet = LabelSet(0);
    /// All sets beyond the bounds.
    pub(crate) const OVERFLOW: LabelSet = LabelSet(u16::MAX);

    /// Whether the set is empty.
    pub(crate) fn is_none(self) -> bool {
        self == LabelSet::NONE
    }

    /// The number, for a word that has room for 16 bits.
    pub(crate) fn number(self) -> u16 {
        self.0
    }

    /// The set of a number that [`LabelSet::number`] returned.
    pub(crate) fn of_number(number: u16) -> LabelSet {
        LabelSet(number)
    }

    /// The labels, in the order of their keys.
    pub(crate) fn labels(self) -> &'static [Label] {
        static OVERFLOWED: LazyLock<[Label; 1]> = LazyLock::new(|| {
            let why = format!("more than {MOST_SETS} sets, or {MOST_LABELS} in one");
            [("labels".into(), why.into())]
        });
        match self {
            LabelSet::OVERFLOW => &*OVERFLOWED,
            LabelSet(number) => BY_NUMBER
                .get(usize::from(number))
                .and_then(OnceLock::get)
                .map_or(&[], |entry| &entry.labels),
        }
    }

    /// The labels as pairs of key and value, for encoders.
    pub(crate) fn pairs(self) -> Vec<(&'static str, &'static str)> {
        let labels = self.labels().iter();
        labels.map(|(key, value)| (&**key, &**value)).collect()
    }

    /// These labels and `more`. Of two values for a key, the last one counts.
    pub(crate) fn with<'l>(self, more: impl IntoIterator<Item = (&'l str, &'l str)>) -> LabelSet {
        let mut room = [("", ""); MOST_LABELS];
        let mut len = 0;
        let before = self.labels().iter();
        for (key, value) in before.map(|(key, value)| (&**key, &**value)).chain(more) {
            let (key, value) = (cut(key), cut(value));
            match room[..len].binary_search_by_key(&key, |label| label.0) {
                Ok(at) => room[at].1 = value,
                Err(_) if len == MOST_LABELS => return LabelSet::OVERFLOW,
                Err(at) => {
                    room[at..=len].rotate_right(1);
                    room[at] = (key, value);
                    len += 1;
                }
            }
        }
        intern(&room[..len])
    }
}

/// The set of these labels, which are sorted by key.
fn intern(labels: &[(&str, &str)]) -> LabelSet {
    if labels.is_empty() {
        return LabelSet::NONE;
    }
    let is = |other: &Entry| {
        let other = other.labels.iter();
        other
            .map(|(key, value)| (&**key, &**value))
            .eq(labels.iter().copied())
    };
    let make = || {
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let labels = labels.iter();
        Entry {
            set: match number <= MOST_SETS {
                true => LabelSet(number as u16),
                false => LabelSet::OVERFLOW,
            },
            labels: labels
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
        }
    };
    let Some(entry) = ENTRIES.intern(hash(labels), is, make) else {
        return LabelSet::OVERFLOW;
    };
    if let Some(by_number) = BY_NUMBER.get(usize::from(entry.set.0)) {
        by_number.get_or_init(|| entry);
    }
    entry.set
}

fn hash(labels: &[(&str, &str)]) -> u64 {
    let texts = labels.iter().flat_map(|(key, value)| [key, value]);
    texts.fold(0, |hash, text| {
        let words = text.as_bytes().chunks(8);
        let hash = mix(hash, text.len() as u64);
        words.fold(hash, |hash, bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            mix(hash, u64::from_le_bytes(word))
        })
    })
}

fn cut(text: &str) -> &str {
    let mut kept = text.len().min(LONGEST);
    while !text.is_char_boundary(kept) {
        kept -= 1;
    }
    &text[..kept]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn owned(set: LabelSet) -> BTreeMap<String, String> {
        let pairs = set.pairs().into_iter();
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    proptest::proptest! {
        #[test]
        fn a_set_is_a_map(
            first in proptest::collection::vec(("[ab]{0,2}", "[xy]{0,2}"), 0..4),
            second in proptest::collection::vec(("[ab]{0,2}", "[xy]{0,2}"), 0..4),
        ) {
            let lent = |labels: &[(String, String)]| {
                labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>()
            };
            let (first, second) = (lent(&first), lent(&second));
            fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
                labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))
            }
            let base = LabelSet::NONE.with(pairs(&first));
            let both = base.with(pairs(&second));
            let mut model: BTreeMap<String, String> = first.iter().cloned().collect();
            proptest::prop_assert_eq!(owned(base), model.clone());
            model.extend(second.iter().cloned());
            proptest::prop_assert_eq!(owned(both), model.clone());
            let at_once = LabelSet::NONE.with(pairs(&[first, second].concat()));
            proptest::prop_assert_eq!(at_once, both);
            proptest::prop_assert!(both.pairs().is_sorted());
        }
    }

    #[test]
    fn too_many_labels_are_told() {
        let keys: Vec<String> = (0..=MOST_LABELS).map(|key| key.to_string()).collect();
        let set = |most| LabelSet::NONE.with(keys[..most].iter().map(|key| (key.as_str(), "")));
        assert_eq!(set(MOST_LABELS).labels().len(), MOST_LABELS);
        assert_eq!(set(MOST_LABELS + 1), LabelSet::OVERFLOW);
        assert_eq!(LabelSet::OVERFLOW.labels()[0].0, "labels".into());
    }

    #[test]
    fn long_texts_are_cut_between_two_characters() {
        let value = format!("x{}", "é".repeat(LONGEST));
        let set = LabelSet::NONE.with([("k", value.as_str())]);
        assert_eq!(set.pairs()[0].1.len(), LONGEST - 1);
    }

    #[test]
    fn threads_agree() {
        let sets: Vec<Vec<LabelSet>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let values = (0..200).map(|value| format!("agreed {value}"));
                        values
                            .map(|value| LabelSet::NONE.with([("v", value.as_str())]))
                            .inspect(|set| assert_eq!(set.labels().len(), 1))
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(sets.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
