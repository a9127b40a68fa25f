//! Sampled allocations by site: how many and how many bytes, allocated and freed. A site is a stack, a class of sizes,
//! the spawn location of the task, the current labels, and the sampling rate.
//!
//! Written in the middle of allocations, so all of it lies in memory reserved beforehand. The values are those of the
//! samples: a reader computes from size and rate how many allocations each sample stands for.
//!
//! Bounded: [`STACKS`] and [`SITES`] words. A sample without room for its stack, or its site, is counted without a
//! stack. A sample without room for that either is counted as lost.

use super::lengths::Lengths;
use crate::labels::LabelSet;
use crate::primitive::{AtomicU64, Ordering};
use crate::stack::raw::FutureMeta;
use crate::stack::word_lists::{ListNumber, WordLists};
use std::panic::Location;

/// Entries of each index: 256 KB.
const INDEX: usize = 1 << 15;
/// Words of stacks: 8 MB, at 40 frames each some 24,000 stacks.
const STACKS: usize = 1 << 20;
/// Words of sites: 4 MB, eight for each site.
const SITES: usize = 1 << 19;
/// The part of the sites for samples without room for their stack.
const SPARE: usize = SITES / 8;

/// Words of memory that a table takes.
pub(crate) const WORDS: usize = 2 * INDEX + STACKS + SITES;

/// Sizes below 16 one by one, then eight classes for each power of two: the average of a class is within 6 % of each of
/// its sizes, and values computed from it have an error of 0.2 %.
pub(crate) const SIZES: Lengths = Lengths::new(4, 46);

/// Words of a stack before its frames.
const HEAD: usize = 2;
const SUMS: usize = 4;

/// The stack of an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walked<P> {
    /// The future whose poll the stack ends at; `None` for the stack of a thread.
    pub(crate) root: Option<&'static FutureMeta>,
    /// Frames left out in the middle; without addresses a [`Missing`].
    pub(crate) elided: u32,
    /// Return addresses, innermost first. None: there is no stack.
    pub(crate) pcs: P,
}

/// The task and the labels of an allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The spawn location of its task.
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) labels: LabelSet,
}

impl Origin {
    /// Addresses of statics are below 2^48.
    fn word(self) -> u64 {
        let address = self
            .spawned_at
            .map_or(0, |at| std::ptr::from_ref(at).addr() as u64);
        address | u64::from(self.labels.number()) << 48
    }
}

/// Why there is no stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// All walkers were in use.
    Walker,
    /// The probe itself allocated, to answer a reader.
    Probe,
    /// The table had no room for the stack.
    Room,
}

/// The table.
pub(crate) struct Allocations {
    stacks: WordLists,
    sites: WordLists,
    /// Samples without a stack for want of room, and lost samples.
    unkept: AtomicU64,
    lost: AtomicU64,
}

/// The sums of a site: of samples, not of the allocations that they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) site: u32,
    /// Address of a [`FutureMeta`], or 0.
    pub(crate) root: u64,
    pub(crate) elided: u32,
    /// Empty where there is no stack.
    pub(crate) pcs: Vec<usize>,
    /// Why there is no stack.
    pub(crate) missing: Option<Missing>,
    pub(crate) class: usize,
    /// Address of a [`Location`], or 0.
    pub(crate) spawned_at: u64,
    pub(crate) labels: LabelSet,
    pub(crate) rate: u64,
    pub(crate) allocated: Sum,
    pub(crate) freed: Sum,
}

/// Objects and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl Allocations {
    /// A table in `memory`, which MUST be all 0; `None` if it has fewer than [`WORDS`] words.
    pub(crate) fn new(memory: &'static [AtomicU64]) -> Option<Self> {
        let (stack_index, memory) = memory.split_at_checked(INDEX)?;
        let (site_index, memory) = memory.split_at_checked(INDEX)?;
        let (stacks, memory) = memory.split_at_checked(STACKS)?;
        let (sites, _) = memory.split_at_checked(SITES)?;
        Some(Allocations {
            stacks: WordLists::new(stack_index, stacks),
            sites: WordLists::new(site_index, sites),
            unkept: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    /// The number of the site of an allocation of `size` bytes, sampled at `rate`; `None` if there is no room.
    pub(crate) fn site(
        &self,
        walked: Walked<impl Iterator<Item = u64> + Clone>,
        size: usize,
        origin: Origin,
        rate: u64,
    ) -> Option<u32> {
        let head: [u64; HEAD] = [
            walked
                .root
                .map_or(0, |meta| std::ptr::from_ref(meta).addr() as u64),
            walked.elided.into(),
        ];
        let stack = self.stacks.intern(head.into_iter().chain(walked.pcs), 0, 0);
        let class = SIZES.class(size as u64) as u64;
        // The numbers of stacks begin at 0.
        let key = |stack: u64, origin| [stack << 32 | class, origin, rate].into_iter();
        let known = stack.and_then(|ListNumber(stack)| {
            let key = key(u64::from(stack) + 1, origin.word());
            self.sites.intern(key, SUMS, SPARE)
        });
        let site = known.or_else(|| {
            self.unkept.fetch_add(1, Ordering::Relaxed);
            self.sites.intern(key(0, 0), SUMS, 0)
        });
        if site.is_none() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        site.map(|ListNumber(site)| site)
    }

    /// Counts a sampled allocation of `size` bytes.
    pub(crate) fn allocated(&self, site: u32, size: usize) {
        let sums = self.sites.sums(ListNumber(site));
        sums[0].fetch_add(1, Ordering::Relaxed);
        sums[1].fetch_add(size as u64, Ordering::Relaxed);
    }

    /// Counts that a sampled block of `size` bytes was freed.
    pub(crate) fn freed(&self, site: u32, size: usize) {
        let sums = self.sites.sums(ListNumber(site));
        // Release: pairs with the Acquire in `totals`, which then sees the allocation.
        sums[2].fetch_add(1, Ordering::Release);
        sums[3].fetch_add(size as u64, Ordering::Release);
    }

    /// All sites.
    pub(crate) fn totals(&self) -> impl Iterator<Item = Total> {
        self.sites.all().filter_map(|site| {
            let [place, origin, rate] = self.sites.words(site)[..] else {
                return None;
            };
            let stack = (place >> 32).checked_sub(1);
            let stack = stack.map_or_else(Vec::new, |stack| {
                self.stacks.words(ListNumber(stack as u32))
            });
            let missing = match (stack.len(), stack.get(1)) {
                (0, _) => Some(Missing::Room),
                (HEAD, Some(why)) if *why == Missing::Probe as u64 => Some(Missing::Probe),
                (HEAD, _) => Some(Missing::Walker),
                _ => None,
            };
            let (head, pcs) = stack.split_at(stack.len().min(HEAD));
            let (allocated, freed) = self.sums(site);
            Some(Total {
                site: site.0,
                root: head.first().copied().unwrap_or(0),
                elided: head.get(1).map_or(0, |elided| *elided as u32),
                pcs: pcs.iter().map(|pc| *pc as usize).collect(),
                missing,
                class: place as u32 as usize,
                spawned_at: origin & (u64::MAX >> 16),
                labels: LabelSet::of_number((origin >> 48) as u16),
                rate,
                allocated,
                freed,
            })
        })
    }

    /// What a site has allocated, and what was freed of that.
    fn sums(&self, site: ListNumber) -> (Sum, Sum) {
        let sums = self.sites.sums(site);
        let sum = |at: usize| Sum {
            objects: sums[at].load(Ordering::Acquire),
            bytes: sums[at + 1].load(Ordering::Acquire),
        };
        // The freed ones first: a block is allocated before it is freed.
        let freed = sum(2);
        (sum(0), freed)
    }

    /// Of each site the rate, and what is allocated and not freed.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = (u64, Sum)> {
        self.sites.all().filter_map(|site| {
            let rate = *self.sites.words(site).get(2)?;
            let (allocated, freed) = self.sums(site);
            let in_use = Sum {
                objects: allocated.objects.saturating_sub(freed.objects),
                bytes: allocated.bytes.saturating_sub(freed.bytes),
            };
            Some((rate, in_use))
        })
    }

    /// How many samples have no stack for want of room, and how many are lost.
    pub(crate) fn losses(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.unkept), load(&self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(words: usize) -> &'static [AtomicU64] {
        Vec::leak((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    fn walked(pcs: &[u64]) -> Walked<impl Iterator<Item = u64> + Clone> {
        Walked {
            root: None,
            elided: 0,
            pcs: pcs.iter().copied(),
        }
    }

    #[test]
    fn a_site_is_a_stack_a_class_of_sizes_and_a_rate() {
        let table = Allocations::new(memory(WORDS)).unwrap();
        let site = |pcs: &[u64], size, rate| {
            let site = table
                .site(walked(pcs), size, Origin::default(), rate)
                .unwrap();
            table.allocated(site, size);
            site
        };
        let first = site(&[1, 2], 1000, 512);
        assert_eq!(site(&[1, 2], 1001, 512), first);
        let others = [
            site(&[1], 1000, 512),
            site(&[1, 2], 2000, 512),
            site(&[1, 2], 1000, 1),
        ];
        assert!(!others.contains(&first));
        table.freed(first, 1001);
        let total = table.totals().find(|total| total.site == first).unwrap();
        assert_eq!((&total.pcs[..], total.rate), (&[1, 2][..], 512));
        assert_eq!((total.allocated.objects, total.allocated.bytes), (2, 2001));
        assert_eq!((total.freed.objects, total.freed.bytes), (1, 1001));
        assert_eq!((table.totals().count(), table.losses()), (4, (0, 0)));
    }

    #[test]
    fn what_finds_no_room_is_counted_without_a_stack() {
        let table = Allocations::new(memory(WORDS)).unwrap();
        let long: Vec<u64> = (0..128).collect();
        for number in 0..10_000u64 {
            let mut pcs = long.clone();
            pcs[0] = number;
            let site = table
                .site(walked(&pcs), 100, Origin::default(), 512)
                .unwrap();
            table.allocated(site, 100);
        }
        let (unkept, lost) = table.losses();
        assert!(unkept > 0 && lost == 0);
        let nameless = table.totals().find(|total| total.pcs.is_empty()).unwrap();
        assert_eq!(nameless.allocated.objects, unkept);
        let all: u64 = table.totals().map(|total| total.allocated.objects).sum();
        assert_eq!(all, 10_000);
    }
}
