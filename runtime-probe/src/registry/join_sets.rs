//! The number of tasks in instrumented `JoinSet`s, by spawn location: live tasks and those whose result was not taken
//! yet. The records tell the two apart: a task that has ended has none.
//!
//! A set counts the tasks of its first spawn location, which mostly is the only one, and keeps the locations of other
//! tasks by id. The sums are per location, of which a program has few, so a reader never walks over sets.

use crate::primitive;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// By the address of the location; equal locations may have several addresses. Locked for a look-up when a set gets its
/// first task of a location, and by readers while they add up one number for each location.
static SITES: Mutex<Option<HashMap<usize, &'static Site>>> = Mutex::new(None);

/// A spawn location of tasks of sets. Kept until the process ends.
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

/// The tasks of a set by spawn location.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The spawn location of the first task.
    first: Option<&'static Site>,
    of_first: u64,
    elsewhere: Option<Box<Elsewhere>>,
    /// Whether the set has uncounted tasks. Then nothing is counted until the set is empty.
    is_unknown: bool,
}

/// Tasks of other spawn locations than the first.
#[derive(Debug)]
struct Elsewhere {
    last: &'static Site,
    by_id: HashMap<u64, &'static Site>,
}

impl Members {
    /// For a set that has tasks already.
    pub(crate) fn unknown() -> Self {
        let mut members = Members::default();
        members.is_unknown = true;
        members
    }

    /// Counts a task that was spawned at a location. The set has `len` tasks now.
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

    /// Whether [`Members::joined`] needs the task's id.
    pub(crate) fn are_of_several_places(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// The result of a task was taken. The id is needed if the set has several locations.
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

    /// Stops counting until the set is empty: its tasks are not known any more.
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

/// The number of tasks in sets, by spawn location.
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
