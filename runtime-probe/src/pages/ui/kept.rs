//! The profiles that were taken for the pages: kept so that a user can search, zoom and compare them. Their number and
//! size are bounded; the oldest is removed first.

use crate::primitive;
use crate::profile::own_code::OwnCrates;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// The most profiles that are kept.
pub(super) const MOST: usize = 8;

/// The most bytes of all kept profiles.
const MOST_BYTES: usize = 16 << 20;

/// A kind of profile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The word in an address.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// The page of the profile.
    pub(super) page: &'static str,
    pub(super) unit: Unit,
}

/// The unit of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Nanoseconds,
    Bytes,
    Tasks,
}

/// Stacks with a value each.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) kind: &'static Kind,
    pub(super) at: Instant,
    /// The length of the span; `None` for a profile of one moment, or since the start.
    pub(super) seconds: Option<u32>,
    pub(super) remarks: Vec<String>,
    pub(super) names: Vec<String>,
    /// Whether each name is of the program's own crates.
    pub(super) own: Vec<bool>,
    /// Indices of `names`, the root first.
    pub(super) stacks: Vec<(Vec<u32>, i64)>,
    bytes: usize,
}

#[derive(Debug)]
struct Shelf {
    last: u64,
    taken: VecDeque<Arc<Taken>>,
}

static SHELF: Mutex<Shelf> = Mutex::new(Shelf {
    last: 0,
    taken: VecDeque::new(),
});

fn shelf() -> MutexGuard<'static, Shelf> {
    primitive::lock(&SHELF)
}

/// Keeps a profile, given as folded stacks. Returns its number, or `None` if it is too large.
pub(super) fn keep(
    kind: &'static Kind,
    seconds: Option<u32>,
    folded: &str,
    own: &OwnCrates,
) -> Option<u64> {
    let mut taken = Taken::read(kind, seconds, folded);
    taken.own = taken.names.iter().map(|name| own.has(name)).collect();
    if taken.bytes > MOST_BYTES {
        return None;
    }
    let mut shelf = shelf();
    shelf.last += 1;
    taken.number = shelf.last;
    shelf.taken.push_front(Arc::new(taken));
    let all = |shelf: &Shelf| shelf.taken.iter().map(|taken| taken.bytes).sum::<usize>();
    while shelf.taken.len() > MOST || all(&shelf) > MOST_BYTES {
        shelf.taken.pop_back();
    }
    Some(shelf.last)
}

/// The kept profile of that number.
pub(super) fn find(number: u64) -> Option<Arc<Taken>> {
    let shelf = shelf();
    let mut taken = shelf.taken.iter();
    taken.find(|taken| taken.number == number).cloned()
}

/// All kept profiles, the newest first.
pub(super) fn all() -> Vec<Arc<Taken>> {
    shelf().taken.iter().cloned().collect()
}

impl Taken {
    pub(super) fn read(kind: &'static Kind, seconds: Option<u32>, folded: &str) -> Taken {
        let mut taken = Taken {
            number: 0,
            kind,
            at: Instant::now(),
            seconds,
            remarks: Vec::new(),
            names: Vec::new(),
            own: Vec::new(),
            stacks: Vec::new(),
            bytes: 0,
        };
        let mut known: HashMap<&str, u32> = HashMap::new();
        for line in folded.lines() {
            if let Some(remark) = line.strip_prefix("# ") {
                taken.remarks.push(remark.to_owned());
            } else if let Some((stack, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                let frames = stack.split(';').map(|name| {
                    *known.entry(name).or_insert_with(|| {
                        taken.names.push(name.to_owned());
                        taken.names.len() as u32 - 1
                    })
                });
                let frames = frames.collect();
                taken.stacks.push((frames, value));
            }
        }
        let frames: usize = taken.stacks.iter().map(|(frames, _)| frames.len()).sum();
        let names: usize = taken.names.iter().map(String::len).sum();
        taken.bytes = 4 * frames + 32 * taken.stacks.len() + names;
        taken
    }

    /// The sum of all positive values.
    pub(super) fn total(&self) -> i64 {
        let values = self.stacks.iter().map(|(_, value)| (*value).max(0));
        values.fold(0, i64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static KIND: Kind = Kind {
        name: "cpu",
        title: "CPU",
        page: "profile",
        unit: Unit::Nanoseconds,
    };

    #[test]
    fn folded_stacks_are_read() {
        let taken = Taken::read(&KIND, Some(5), "# rate is off\na;b 3\na;c d 4\nnothing\n");
        assert_eq!(taken.remarks, ["rate is off"]);
        assert_eq!(taken.names, ["a", "b", "c d"]);
        assert_eq!(taken.stacks, [(vec![0, 1], 3), (vec![0, 2], 4)]);
        assert_eq!(taken.total(), 7);
    }

    #[test]
    fn the_oldest_makes_room() {
        let numbers: Vec<u64> = (0..MOST as u64 + 3)
            .filter_map(|_| keep(&KIND, None, "a 1\n", &OwnCrates::default()))
            .collect();
        assert!(find(numbers[0]).is_none());
        assert!(find(numbers[numbers.len() - 1]).is_some());
        assert!(all().len() <= MOST);
        let long = format!("{} 1\n", "a".repeat(MOST_BYTES + 1));
        assert_eq!(keep(&KIND, None, &long, &OwnCrates::default()), None);
    }
}
