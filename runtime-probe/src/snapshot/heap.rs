//! A copy of the sampled allocations, and of those in use.

use crate::clock::Scale;
use crate::registry::names::{self, NameNumber};
use crate::source::heap::{self, Losses, Sampled};
use crate::tally::allocations::Sum;
use std::collections::HashMap;
use std::sync::Arc;

/// What distinguishes samples, beside stack, size and spawn site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SplitBy {
    /// The task's name.
    pub(crate) task: bool,
    /// The age.
    pub(crate) age: bool,
}

/// The age of a block. A leak has blocks of each age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Age {
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Age {
    fn of_seconds(seconds: u64) -> Age {
        match seconds {
            0..60 => Age::Seconds,
            60..3600 => Age::Minutes,
            3600..86_400 => Age::Hours,
            _ => Age::Days,
        }
    }

    /// The age as text.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Age::Seconds => "below 1m",
            Age::Minutes => "1m to 1h",
            Age::Hours => "1h to 1d",
            Age::Days => "above 1d",
        }
    }
}

/// Samples of one site.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) of: Sampled,
    pub(crate) task: Option<Arc<str>>,
    pub(crate) age: Option<Age>,
    pub(crate) allocated: Sum,
    pub(crate) in_use: Sum,
}

/// All samples.
#[derive(Debug)]
pub(crate) struct Heap {
    pub(crate) samples: Vec<Samples>,
    /// The sampling rate in force.
    pub(crate) rate: u64,
    pub(crate) losses: Losses,
}

/// Takes the copy. Only live blocks are split by name and age: of a freed block only its site is known.
pub(crate) fn take(split_by: SplitBy) -> Heap {
    // The blocks are read before the sums of the sites, so that each block is in its sum.
    let mut alive = match split_by {
        SplitBy {
            task: false,
            age: false,
        } => HashMap::new(),
        split_by => alive(split_by),
    };
    let mut samples = Vec::new();
    for of in heap::totals() {
        let mut rest = of.allocated;
        let mut in_use = minus(of.allocated, of.freed);
        for ((task, age), count) in alive.remove(&of.site).unwrap_or_default() {
            let part = part(in_use, count);
            (rest, in_use) = (minus(rest, part), minus(in_use, part));
            samples.push(Samples {
                of: of.clone(),
                task,
                age,
                allocated: part,
                in_use: part,
            });
        }
        if rest != Sum::default() || in_use != Sum::default() {
            samples.push(Samples {
                of,
                task: None,
                age: None,
                allocated: rest,
                in_use,
            });
        }
    }
    Heap {
        samples,
        rate: heap::rate(),
        losses: heap::losses(),
    }
}

/// The number of sites.
pub(crate) fn count() -> usize {
    heap::totals().len()
}

type Parts = HashMap<(Option<Arc<str>>, Option<Age>), u64>;

/// The live blocks, by site.
fn alive(split_by: SplitBy) -> HashMap<u32, Parts> {
    let blocks = heap::alive();
    let scale = Scale::now();
    let numbers: Vec<NameNumber> = match split_by.task {
        true => blocks.iter().map(|(_, name, _)| *name).collect(),
        false => Vec::new(),
    };
    let names = names::texts(&numbers);
    let mut sites: HashMap<u32, Parts> = HashMap::new();
    for (site, name, born) in blocks {
        let seconds = || scale.since(born) / 1_000_000_000;
        let part = (
            names.get(&name).cloned(),
            split_by.age.then(|| Age::of_seconds(seconds())),
        );
        *sites.entry(site).or_default().entry(part).or_default() += 1;
    }
    sites
}

/// A part of a sum, for so many objects: the sizes are about equal.
fn part(sum: Sum, objects: u64) -> Sum {
    let objects = objects.min(sum.objects);
    let bytes = u128::from(sum.bytes) * u128::from(objects) / u128::from(sum.objects.max(1));
    Sum {
        objects,
        bytes: bytes as u64,
    }
}

/// The difference, at least 0: the sums are not read at one moment.
fn minus(sum: Sum, less: Sum) -> Sum {
    Sum {
        objects: sum.objects.saturating_sub(less.objects),
        bytes: sum.bytes.saturating_sub(less.bytes),
    }
}
