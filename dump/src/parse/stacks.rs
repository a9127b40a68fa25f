//! The stacks of a dump of any form with their counts, so that dumps of different forms can be compared and added.

use std::collections::HashMap;
use std::sync::Arc;

use super::Parsed;
use super::blocks::Blocks;
use super::counts::Counts;
use crate::profile::proto::Profile;
use crate::stack::Frame;

/// A stack with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedStack {
    /// The frames, leaf first.
    pub frames: Arc<[Frame]>,
    /// The number of tasks or records. For a profile, the sum of the value that pprof shows first.
    pub count: i64,
}

impl Parsed {
    /// The distinct stacks, the most frequent first. For a log, the stacks of the last moment.
    pub fn stacks(&self) -> Vec<CountedStack> {
        match self {
            Self::Blocks(blocks) => of_blocks(blocks),
            Self::Counts(counts) => of_counts(counts),
            Self::Log(log) => log
                .samples
                .last()
                .map(|last| of_counts(&last.counts))
                .unwrap_or_default(),
            Self::Profile(profile) => of_profile(profile, shown_first(profile)),
        }
    }
}

/// The stacks of a dump of blocks.
pub fn of_blocks(blocks: &Blocks) -> Vec<CountedStack> {
    merged(blocks.blocks.iter().map(|block| {
        let count = i64::try_from(block.count()).unwrap_or(i64::MAX);
        (block.stack.frames.clone(), count)
    }))
}

/// The stacks of a count profile.
pub fn of_counts(counts: &Counts) -> Vec<CountedStack> {
    merged(
        counts
            .groups
            .iter()
            .map(|group| (group.frames.clone(), group.count)),
    )
}

/// The index of the value that pprof shows first: the one that the profile names, otherwise the last.
pub fn shown_first(profile: &Profile) -> usize {
    let named = profile.string(profile.default_sample_type);
    let is_named = |index: &usize| profile.string(profile.sample_type[*index].r#type) == named;
    let last = profile.sample_type.len().saturating_sub(1);
    (0..profile.sample_type.len())
        .find(|index| !named.is_empty() && is_named(index))
        .unwrap_or(last)
}

/// The most frames of a stack. A location can have many functions, and a stack many locations.
const MAX_FRAMES: usize = 4096;

/// The stacks of a profile, counted by one of its values. At most 4096 frames of each stack are kept.
pub fn of_profile(profile: &Profile, measure: usize) -> Vec<CountedStack> {
    let functions: HashMap<u64, (Arc<str>, Arc<str>)> = profile
        .function
        .iter()
        .map(|function| {
            (
                function.id,
                (
                    profile.string(function.name).into(),
                    profile.string(function.filename).into(),
                ),
            )
        })
        .collect();
    let locations: HashMap<u64, Vec<Frame>> = profile
        .location
        .iter()
        .map(|location| {
            let frames = location.line.iter().map(|line| {
                let (function, file) = functions
                    .get(&line.function_id)
                    .cloned()
                    .unwrap_or_else(|| ("unknown".into(), "".into()));
                Frame {
                    function,
                    file,
                    line: u32::try_from(line.line).unwrap_or(0),
                }
            });
            let mut frames: Vec<Frame> = frames.collect();
            if frames.is_empty() {
                frames.push(Frame {
                    function: format!("{:#x}", location.address).into(),
                    file: "".into(),
                    line: 0,
                });
            }
            (location.id, frames)
        })
        .collect();
    merged(profile.sample.iter().map(|sample| {
        let frames = sample
            .location_id
            .iter()
            .filter_map(|id| locations.get(id))
            .flatten();
        (
            frames.take(MAX_FRAMES).cloned().collect(),
            sample.value.get(measure).copied().unwrap_or(0),
        )
    }))
}

/// Merges equal stacks. The most frequent comes first; equal counts are in the order of their frames.
pub fn merged(stacks: impl IntoIterator<Item = (Arc<[Frame]>, i64)>) -> Vec<CountedStack> {
    let mut sums: HashMap<Arc<[Frame]>, i64> = HashMap::new();
    for (frames, count) in stacks {
        let sum = sums.entry(frames).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut stacks: Vec<_> = sums
        .into_iter()
        .map(|(frames, count)| CountedStack { frames, count })
        .collect();
    let order = |stack: &CountedStack| {
        let names: Vec<_> = stack
            .frames
            .iter()
            .map(|frame| (frame.function.clone(), frame.line))
            .collect();
        (std::cmp::Reverse(stack.count), names)
    };
    stacks.sort_by_cached_key(order);
    stacks
}
