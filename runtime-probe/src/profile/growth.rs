//! Detects growth: counts in a row, each above the one before, by site and in all. The sum alone does not show a leak
//! of one site while tasks of other sites come and go.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many counts in a row must be above the one before. Eleven numbers are in order by chance once in 11! = 40
/// million cases.
const GROWING: usize = 10;

/// The least growth, in tasks. It must be at least a tenth as well.
const LEAST: usize = 100;

/// A row of growing counts.
#[derive(Debug, Default)]
pub(super) struct Counts(VecDeque<usize>);

impl Counts {
    /// Adds a count. Returns (from, to) if the row is long enough and the growth large enough.
    pub(super) fn grown(&mut self, count: usize) -> Option<(usize, usize)> {
        let Counts(counts) = self;
        if counts.back().is_some_and(|last| count <= *last) {
            counts.clear();
        }
        counts.push_back(count);
        if counts.len() <= GROWING {
            return None;
        }
        let from = counts.pop_front()?;
        let enough = count - from >= LEAST.max(from / 10);
        enough.then(|| {
            // The next row begins with this count.
            self.restart(count);
            (from, count)
        })
    }

    /// Begins a new row with this count.
    pub(super) fn restart(&mut self, count: usize) {
        self.0.clear();
        self.0.push_back(count);
    }
}

/// Counts of each site. A site that is missing once begins a new row.
#[derive(Debug)]
pub(super) struct BySite<K>(HashMap<K, Counts>);

impl<K> Default for BySite<K> {
    fn default() -> Self {
        BySite(HashMap::new())
    }
}

impl<K: Eq + Hash> BySite<K> {
    /// Adds the counts of all sites. Returns the sites that have grown, with (from, to); the largest growth first.
    pub(super) fn grown<P: Copy>(
        &mut self,
        counted: impl Iterator<Item = (K, P, usize)>,
    ) -> Vec<(P, (usize, usize))> {
        let mut before = std::mem::take(&mut self.0);
        let mut grown = Vec::new();
        for (key, site, count) in counted {
            let mut counts = before.remove(&key).unwrap_or_default();
            grown.extend(counts.grown(count).map(|growth| (site, growth)));
            self.0.insert(key, counts);
        }
        grown.sort_by_key(|(_, (from, to))| std::cmp::Reverse(to - from));
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grows_at(counts: &[usize]) -> Option<usize> {
        let mut row = Counts::default();
        counts.iter().position(|count| row.grown(*count).is_some())
    }

    #[test]
    fn growth_is_ten_counts_in_a_row_each_above_the_one_before() {
        let leak: Vec<usize> = (0..20).map(|at| 1000 + 50 * at).collect();
        assert_eq!(grows_at(&leak), Some(10));
        let mut pause = leak.clone();
        pause[9] = pause[8];
        assert_eq!(grows_at(&pause), Some(19));
        let little: Vec<usize> = (0..20).map(|at| 1000 + at).collect();
        assert_eq!(grows_at(&little), None);
        let few: Vec<usize> = (0..20).map(|at| 10 + 5 * at).collect();
        assert_eq!(grows_at(&few), None);
        let small_beside_all: Vec<usize> = (0..20).map(|at| 1_000_000 + 50 * at).collect();
        assert_eq!(grows_at(&small_beside_all), None);
    }

    #[test]
    fn places_are_counted_each_for_itself() {
        let mut sites = BySite::default();
        let mut look = |at: usize| {
            let counts = [
                ("leaks", 20 * at),
                ("rests", 7),
                ("swings", 500 * (at % 2)),
                ("leaks more", 30 * at),
            ];
            // The site is missing once.
            let counts = counts
                .into_iter()
                .filter(|(name, _)| at != 5 || *name != "leaks more");
            sites.grown(counts.map(|(name, count)| (name, name, count)))
        };
        let told: Vec<_> = (0..20)
            .map(&mut look)
            .enumerate()
            .filter(|(_, told)| !told.is_empty())
            .collect();
        assert_eq!(
            told,
            [
                (10, vec![("leaks", (0, 200))]),
                (16, vec![("leaks more", (180, 480))]),
            ]
        );
        let again = look(20);
        assert_eq!(again, [("leaks", (200, 400))]);
    }
}
