//! How many tasks `JoinSet`s of ours have, by where they were spawned: those that run, and those whose result nothing has taken
//! yet. Which are which follows from the records: a task that has ended has none.
//!
//! A set knows where each of its tasks was spawned: mostly all at one place, which is a number, and of the others by their id.
//! The counts belong to the places, of which a program has few, so a reader never walks over sets.

use crate::primitive;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// By the address of the location: the same place may have several. Locked for one look-up when a set has its first task of a
/// place, and by readers for as long as it takes to add up one number for each place.
static SITES: Mutex<Option<HashMap<usize, &'static Site>>> = Mutex::new(None);

/// A place where tasks of sets are spawned. Kept for the life of the process.
#[derive(Debug)]
struct Site {
    location: &'static Location<'static>,
    members: AtomicU64,
}

impl Site {
    fn at(location: &'static Location<'static>) -> &'static Site {
        let mut sites = sites();
        let site = sites
            .get_or_insert_default()
            .entry(std::ptr::from_ref(location).addr());
        site.or_insert_with(|| {
            Box::leak(Box::new(Site {
                location,
                members: AtomicU64::new(0),
            }))
        })
    }

    fn is_at(&self, location: &'static Location<'static>) -> bool {
        std::ptr::eq(self.location, location) || self.location == location
    }

    fn add(&self) {
        self.members.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, members: u64) {
        self.members.fetch_sub(members, Ordering::Relaxed);
    }
}

fn sites() -> MutexGuard<'static, Option<HashMap<usize, &'static Site>>> {
    primitive::lock(&SITES)
}

/// What a set knows of its tasks.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Where its first task was spawned.
    first: Option<&'static Site>,
    of_first: u64,
    elsewhere: Option<Box<Elsewhere>>,
    /// There are tasks that were not counted: nothing is, until it is empty.
    is_unknown: bool,
}

/// Tasks that were spawned elsewhere than the first.
#[derive(Debug)]
struct Elsewhere {
    last: &'static Site,
    by_id: HashMap<u64, &'static Site>,
}

impl Members {
    /// Of a set that has tasks already.
    pub(crate) fn unknown() -> Self {
        let mut members = Members::default();
        members.is_unknown = true;
        members
    }

    /// A task was spawned there, and the set has `len` now.
    pub(crate) fn spawned(&mut self, location: &'static Location<'static>, id: u64, len: usize) {
        if len == 1 {
            self.forget();
        } else if self.is_unknown {
            return;
        }
        let first = *self.first.get_or_insert_with(|| Site::at(location));
        if first.is_at(location) {
            self.of_first += 1;
            return first.add();
        }
        let elsewhere = self.elsewhere.get_or_insert_with(|| {
            Box::new(Elsewhere {
                last: Site::at(location),
                by_id: HashMap::new(),
            })
        });
        if !elsewhere.last.is_at(location) {
            elsewhere.last = Site::at(location);
        }
        elsewhere.last.add();
        elsewhere.by_id.insert(id, elsewhere.last);
    }

    /// Whether it has to be told which task was joined.
    pub(crate) fn are_of_several_places(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// The result of a task was taken; of a set of several places, that one's.
    pub(crate) fn joined(&mut self, id: Option<u64>) {
        let elsewhere = self.elsewhere.as_mut();
        let site = elsewhere.and_then(|others| others.by_id.remove(&id?));
        match (site, self.first) {
            (Some(site), _) => site.remove(1),
            (None, Some(first)) if self.of_first > 0 => {
                self.of_first -= 1;
                first.remove(1);
            }
            _ => {}
        }
    }

    /// What becomes of its tasks is not known from now on.
    pub(crate) fn lose(&mut self) {
        self.forget();
        self.is_unknown = true;
    }

    fn forget(&mut self) {
        self.is_unknown = false;
        if let Some(first) = self.first.take() {
            first.remove(std::mem::take(&mut self.of_first));
        }
        let others = self.elsewhere.take().into_iter();
        let others = others.flat_map(|others| others.by_id);
        others.for_each(|(_, site)| site.remove(1));
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.forget();
    }
}

/// How many tasks sets have by where these were spawned.
pub(crate) fn lens() -> HashMap<Location<'static>, u64> {
    let mut lens = HashMap::new();
    for site in sites().iter().flat_map(HashMap::values) {
        *lens.entry(*site.location).or_default() += site.members.load(Ordering::Relaxed);
    }
    lens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> [&'static Location<'static>; 3] {
        [Location::caller(), Location::caller(), Location::caller()]
    }

    fn len(location: &'static Location<'static>) -> u64 {
        lens().get(location).copied().unwrap_or_default()
    }

    #[test]
    fn tasks_of_several_places_are_counted_at_each() {
        let [a, b, c] = here();
        let lens = || [a, b, c].map(len);
        let mut set = Members::default();
        assert!(!set.are_of_several_places());
        for (id, (at, len)) in [(a, 1), (b, 2), (a, 3), (c, 4), (b, 5)].iter().enumerate() {
            set.spawned(at, id as u64, *len);
        }
        assert!(set.are_of_several_places());
        assert_eq!(lens(), [2, 2, 1]);
        for (joined, left) in [(1, [2, 1, 1]), (0, [1, 1, 1]), (3, [1, 1, 0])] {
            set.joined(Some(joined));
            assert_eq!(lens(), left);
        }
        let mut other = Members::default();
        other.spawned(b, 9, 1);
        assert_eq!(lens(), [1, 2, 0]);
        drop(set);
        assert_eq!(lens(), [0, 1, 0]);
        other.joined(None);
        assert_eq!(lens(), [0, 0, 0]);
    }

    #[test]
    fn a_set_that_was_changed_otherwise_is_counted_again_when_it_was_empty() {
        let [at, ..] = here();
        let mut set = Members::unknown();
        set.spawned(at, 1, 2);
        set.joined(None);
        assert_eq!(len(at), 0);
        set.spawned(at, 2, 1);
        set.spawned(at, 3, 2);
        assert_eq!(len(at), 2);
        set.lose();
        assert_eq!(len(at), 0);
        set.joined(None);
        set.spawned(at, 4, 2);
        assert_eq!(len(at), 0);
    }
}
