//! Counts by site over time: their trend, and whether a site grows.

use crate::own_frame::{call, own_frame};
use runtime_dump::parse::stacks::CountedStack;
use std::collections::{HashMap, VecDeque};

/// The most moments that are kept: ten minutes at one a second.
const KEPT: usize = 600;

/// The most sites that are kept. The tasks of further sites are counted only.
const MOST_SITES: usize = 10_000;

/// The fewest moments for a trend.
const LEAST: usize = 6;

/// The counts of all sites.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// The times of the kept moments, in seconds.
    times: VecDeque<f64>,
    sites: HashMap<String, VecDeque<i64>>,
    /// The number of tasks of sites beyond the most.
    pub(super) missed: i64,
}

/// One site as a row.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) count: i64,
    /// The change per minute, by the least-squares line through its counts.
    pub(super) per_minute: f64,
    /// Whether the lowest count of the last third is above the highest count of the first third.
    pub(super) grows: bool,
    /// The highest count of each part of the time, scaled to 0 to 9.
    pub(super) trend: Vec<u8>,
}

impl Series {
    /// Adds a moment.
    pub(super) fn push(&mut self, seconds: f64, stacks: &[CountedStack]) {
        self.times.push_back(seconds);
        if self.times.len() > KEPT {
            self.times.pop_front();
            self.sites
                .values_mut()
                .for_each(|counts| _ = counts.pop_front());
            self.sites
                .retain(|_, counts| counts.iter().any(|count| *count != 0));
        }
        let moments = self.times.len();
        self.missed = 0;
        for stack in stacks {
            let name = own_frame(&stack.frames).map(call).unwrap_or_default();
            if self.sites.len() >= MOST_SITES && !self.sites.contains_key(&name) {
                self.missed += stack.count;
                continue;
            }
            let counts = self.sites.entry(name).or_default();
            counts.resize(moments, 0);
            counts[moments - 1] += stack.count;
        }
        self.sites
            .values_mut()
            .for_each(|counts| counts.resize(moments, 0));
    }

    pub(super) fn moments(&self) -> usize {
        self.times.len()
    }

    /// All sites: the growing ones first, by slope, then the others by count.
    pub(super) fn sites(&self) -> Vec<Site> {
        let mut sites: Vec<Site> = self
            .sites
            .iter()
            .map(|(name, counts)| self.site(name, counts))
            .collect();
        sites.sort_by(|a, b| {
            let slope = |site: &Site| if site.grows { site.per_minute } else { 0.0 };
            slope(b)
                .total_cmp(&slope(a))
                .then(b.count.cmp(&a.count))
                .then(a.name.cmp(&b.name))
        });
        sites
    }

    fn site(&self, name: &str, counts: &VecDeque<i64>) -> Site {
        let counts: Vec<i64> = counts.iter().copied().collect();
        Site {
            name: name.to_owned(),
            count: counts.last().copied().unwrap_or(0),
            per_minute: self.slope(&counts) * 60.0,
            grows: grows(&counts),
            trend: trend(&counts),
        }
    }

    fn slope(&self, counts: &[i64]) -> f64 {
        let n = counts.len() as f64;
        let mean_time = self.times.iter().sum::<f64>() / n;
        let mean = counts.iter().sum::<i64>() as f64 / n;
        let (mut both, mut square) = (0.0, 0.0);
        for (time, count) in self.times.iter().zip(counts) {
            both += (time - mean_time) * (*count as f64 - mean);
            square += (time - mean_time) * (time - mean_time);
        }
        if square > 0.0 { both / square } else { 0.0 }
    }
}

fn grows(counts: &[i64]) -> bool {
    let third = counts.len() / 3;
    counts.len() >= LEAST
        && counts[counts.len() - third..].iter().min() > counts[..third].iter().max()
}

fn trend(counts: &[i64]) -> Vec<u8> {
    const WIDTH: usize = 12;
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let size = counts.len().div_ceil(WIDTH).max(1);
    let parts = counts
        .chunks(size)
        .map(|part| part.iter().copied().max().unwrap_or(0).max(0));
    parts
        .map(|count| u8::try_from(count.saturating_mul(9) / most).unwrap_or(9))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_dump::stack::Frame;

    fn stack(name: &str, count: i64) -> CountedStack {
        let frame = Frame {
            function: name.into(),
            file: "src/a.rs".into(),
            line: 1,
        };
        CountedStack {
            frames: [frame].into(),
            count,
        }
    }

    #[test]
    fn a_leak_is_told_from_what_comes_and_goes() {
        let mut series = Series::default();
        for second in 0..30_i64 {
            let stacks = [
                stack("leak", 5 + 2 * second),
                stack("busy", [40, 2, 17][second as usize % 3]),
                stack("still", 7),
            ];
            series.push(second as f64, &stacks);
        }
        let sites = series.sites();
        let row: Vec<(&str, i64, bool)> = sites
            .iter()
            .map(|site| (&*site.name, site.count, site.grows))
            .collect();
        assert_eq!(
            row,
            [
                ("leak src/a.rs:1", 63, true),
                ("busy src/a.rs:1", 17, false),
                ("still src/a.rs:1", 7, false)
            ]
        );
        assert!(
            (sites[0].per_minute - 120.0).abs() < 1e-6,
            "{}",
            sites[0].per_minute
        );
        assert!(sites[2].per_minute.abs() < 1e-6);
        assert_eq!(
            (sites[0].trend.first(), sites[0].trend.last()),
            (Some(&1), Some(&9))
        );
    }

    #[test]
    fn old_moments_and_sites_without_tasks_go() {
        let mut series = Series::default();
        series.push(0.0, &[stack("once", 1)]);
        for second in 1..=KEPT {
            series.push(second as f64, &[stack("still", 1)]);
        }
        assert_eq!((series.moments(), series.sites().len()), (KEPT, 1));
    }

    #[test]
    fn few_moments_say_nothing() {
        assert!(!grows(&[1, 2, 3, 4, 5]));
        assert!(grows(&[1, 1, 2, 2, 3, 3]));
        assert!(!grows(&[3, 3, 3, 3, 3, 3]));
    }
}
