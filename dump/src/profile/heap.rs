//! A profile of allocations by stack: all allocations, and those in use. Go's `heap` and `allocs` are this profile, and
//! differ in the value that is shown first.
//!
//! The profile consists of samples. An allocation of `size` bytes is sampled with the probability `1 - exp(-size /
//! rate)`. A sample stands for the inverse of that probability. The binary form has the estimates. The text has the
//! sample counts, like Go's, and `go tool pprof` computes the estimates from the rate in its first line.
//!
//! The groups are in the order of their size, the largest first. Go 1.27 has the smallest first.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{self, Write};

use crate::profile::address_list::AddressList;
use crate::profile::builder::{LabelValue, Measure, ProfileBuilder};
use crate::profile::count_text::{push_frames, push_remarks};
use crate::profile::labels::{self, Labels, owned};
use crate::profile::mem_stats::MemStats;
use crate::profile::proto;
use crate::profile::stack_profile::{Group, StackProfile, Values};
use crate::stack::{Location, Mapping, Stack};

/// The samples of one stack and of one class of sizes.
#[derive(Clone, Copy, Debug)]
pub struct Allocated<'s> {
    /// The stack that allocated.
    pub stack: &'s Stack,
    /// The labels, by which pprof can filter and split, in the order of the keys as in Go.
    pub labels: &'s [(&'s str, &'s str)],
    /// The class of sizes, which keeps samples of other sizes apart. Not shown.
    pub size_class: u64,
    /// The average number of bytes between samples at the time of these samples; 1 if every allocation was sampled.
    pub rate: u64,
    /// All samples.
    pub allocated: Objects,
    /// The samples that were not freed.
    pub in_use: Objects,
}

/// A number of objects, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// The number of objects.
    pub objects: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

/// Allocations by stack, labels and size.
///
/// ```
/// use runtime_dump::profile::heap::{Allocated, HeapProfile, Objects};
/// use runtime_dump::stack::Stack;
///
/// let stack = Stack { missing: Some("no stack".into()), ..Stack::default() };
/// let sample = Allocated {
///     stack: &stack,
///     labels: &[],
///     size_class: 1024,
///     rate: 512 << 10,
///     allocated: Objects { objects: 2, bytes: 2048 },
///     in_use: Objects { objects: 1, bytes: 1024 },
/// };
/// let heap = HeapProfile::new(512 << 10, [sample]).to_profile(&[], 0);
/// // One of 512 allocations of 1 KiB is sampled.
/// assert_eq!(heap.sample[0].value, [1025, 1049600, 513, 524800]);
/// ```
#[derive(Clone, Debug)]
pub struct HeapProfile {
    rate: u64,
    stacks: StackProfile<Key, Sums>,
    /// The length of the span, if the profile is a difference.
    duration_ns: Option<i64>,
}

/// Labels and a class of sizes.
type Key = (Labels, u64);

/// The sums of the samples of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// The estimates.
    allocated: Estimate,
    in_use: Estimate,
    /// The number of samples, as if all were taken at the profile's rate.
    allocated_samples: Estimate,
    in_use_samples: Estimate,
}

/// Estimated objects and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Estimate {
    objects: f64,
    bytes: f64,
}

impl Estimate {
    fn add(&mut self, other: Estimate) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }

    fn times(self, factor: f64) -> Estimate {
        Estimate {
            objects: self.objects * factor,
            bytes: self.bytes * factor,
        }
    }

    fn values(self) -> [i64; 2] {
        [self.objects.round() as i64, self.bytes.round() as i64]
    }

    /// The values for a text. Below half an object both are 0, because pprof refuses bytes without an object.
    fn whole(self) -> [i64; 2] {
        match self.values() {
            [0, _] => [0, 0],
            values => values,
        }
    }

    fn minus(self, other: Estimate) -> Estimate {
        let ([objects, bytes], [less, fewer]) = (self.values(), other.values());
        Estimate {
            objects: (objects - less) as f64,
            bytes: (bytes - fewer) as f64,
        }
    }
}

impl Objects {
    fn samples(self) -> Estimate {
        Estimate {
            objects: self.objects as f64,
            bytes: self.bytes as f64,
        }
    }

    /// The estimate from these samples, at a rate of one sample per `rate` bytes on average.
    pub fn estimated(self, rate: u64) -> Objects {
        let Estimate { objects, bytes } = self.samples().times(self.stand_for(rate));
        Objects {
            objects: objects.round() as u64,
            bytes: bytes.round() as u64,
        }
    }

    /// The number of allocations that each of these samples stands for, by their average size.
    fn stand_for(self, rate: u64) -> f64 {
        if rate <= 1 || self.objects == 0 || self.bytes == 0 {
            return 1.0;
        }
        let size = self.bytes as f64 / self.objects as f64;
        -1.0 / (-size / rate as f64).exp_m1()
    }
}

impl Sums {
    fn of(sample: &Allocated<'_>, rate: u64) -> Self {
        let mut sums = Sums::default();
        for (objects, estimate, samples) in [
            (
                sample.allocated,
                &mut sums.allocated,
                &mut sums.allocated_samples,
            ),
            (sample.in_use, &mut sums.in_use, &mut sums.in_use_samples),
        ] {
            let factor = objects.stand_for(sample.rate);
            *estimate = objects.samples().times(factor);
            let now = match sample.rate == rate {
                true => 1.0,
                false => factor / objects.stand_for(rate),
            };
            *samples = objects.samples().times(now);
        }
        sums
    }

    fn values(&self) -> [i64; 4] {
        let [objects, bytes] = self.allocated.values();
        let [alive, in_use] = self.in_use.values();
        [objects, bytes, alive, in_use]
    }

    /// The average size of an object.
    fn size(&self) -> i64 {
        match self.allocated.objects {
            0.0 => 0,
            objects => (self.allocated.bytes / objects).round() as i64,
        }
    }
}

/// The order is by the bytes in use, then by the bytes allocated.
impl Values for Sums {
    fn add(&mut self, other: &Self) {
        self.allocated.add(other.allocated);
        self.in_use.add(other.in_use);
        self.allocated_samples.add(other.allocated_samples);
        self.in_use_samples.add(other.in_use_samples);
    }

    /// Allocations stay in the profile after their memory was freed.
    fn is_nothing(&self) -> bool {
        false
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_use = other.in_use.bytes.total_cmp(&self.in_use.bytes);
        by_use.then_with(|| other.allocated.bytes.total_cmp(&self.allocated.bytes))
    }
}

impl HeapProfile {
    /// Adds up samples of equal stacks with equal labels. `rate` is the current one: bytes for each sample on average.
    pub fn new<'s>(rate: u64, samples: impl IntoIterator<Item = Allocated<'s>>) -> Self {
        let records = samples.into_iter().map(|sample| {
            let key = (owned(sample.labels), sample.size_class);
            (sample.stack, key, Sums::of(&sample, rate))
        });
        HeapProfile {
            rate,
            stacks: StackProfile::new(records, AddressList::of),
            duration_ns: None,
        }
    }

    /// The estimated totals: objects and bytes allocated, objects and bytes in use.
    pub fn totals(&self) -> [i64; 4] {
        let each = self
            .stacks
            .groups()
            .iter()
            .map(|group| group.values.values());
        each.fold([0i64; 4], |sums, values| {
            std::array::from_fn(|at| sums[at].saturating_add(values[at]))
        })
    }

    /// Adds a remark on the whole profile. Every format shows remarks.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.stacks.comment(text);
    }

    /// Whether the profile has no samples.
    pub fn is_empty(&self) -> bool {
        self.stacks.groups().is_empty()
    }

    /// The locations of all address lists. A location of several lists is returned several times.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.stacks.locations()
    }

    /// The profile without the scaffolding of its stacks, for people.
    #[must_use]
    pub fn shown(&self) -> Self {
        HeapProfile {
            stacks: self.stacks.shown(),
            ..*self
        }
    }

    /// Writes the text of `debug=1`. Go's tools read its samples.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write_text(&self, mem_stats: &MemStats, mut out: impl Write) -> io::Result<()> {
        let (mut allocated, mut in_use) = ([0; 2], [0; 2]);
        for group in self.stacks.groups() {
            for (sum, samples) in [
                (&mut allocated, group.values.allocated_samples),
                (&mut in_use, group.values.in_use_samples),
            ] {
                let [objects, bytes] = samples.whole();
                sum[0] += objects;
                sum[1] += bytes;
            }
        }
        // If the allocated and used bytes are equal, pprof takes the text for one without values of allocations.
        if allocated[1] == in_use[1] {
            allocated[1] += 1;
        }
        let mut text = b"heap profile: ".to_vec();
        push_values(&mut text, in_use, allocated);
        text.extend_from_slice(format!(" @ heap/{}\n", self.rate.saturating_mul(2)).as_bytes());
        push_remarks(&mut text, self.stacks.comments());
        for group in self.stacks.groups() {
            let (in_use, allocated) = (
                group.values.in_use_samples.whole(),
                group.values.allocated_samples.whole(),
            );
            push_values(&mut text, in_use, allocated);
            text.extend_from_slice(b" @");
            text.extend_from_slice(group.key.0.as_bytes());
            text.push(b'\n');
            labels::push_line(&mut text, &group.key.1.0);
            push_frames(&mut text, &group.list);
            out.write_all(&text)?;
            text.clear();
        }
        text.push(b'\n');
        mem_stats.push(&mut text);
        out.write_all(&text)?;
        out.flush()
    }

    /// Converts the profile to its binary form, `debug=0`, with Go's four values. pprof shows the last one first: bytes
    /// in use.
    pub fn to_profile(&self, mappings: &[Mapping], time_ns: i64) -> proto::Profile {
        self.builder(mappings, time_ns).build()
    }

    /// Converts the profile to its binary form. pprof shows the allocated bytes first, as in Go's `allocs`.
    pub fn to_allocs_profile(&self, mappings: &[Mapping], time_ns: i64) -> proto::Profile {
        let builder = self.builder(mappings, time_ns);
        builder.default_kind("alloc_space").build()
    }

    /// The changes since `before`, within `duration_ns` nanoseconds, as for Go's `seconds=N`. Freed memory has negative
    /// values.
    #[must_use]
    pub fn since(&self, before: &HeapProfile, duration_ns: i64) -> Self {
        let mut groups: HashMap<_, Group<Key, Sums>> = self
            .stacks
            .groups()
            .iter()
            .map(|group| (group.key.clone(), group.clone()))
            .collect();
        for old in before.stacks.groups() {
            let group = groups
                .entry(old.key.clone())
                .or_insert_with_key(|key| Group {
                    key: key.clone(),
                    list: old.list.clone(),
                    values: Sums::default(),
                });
            group.values.allocated = group.values.allocated.minus(old.values.allocated);
            group.values.in_use = group.values.in_use.minus(old.values.in_use);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.retain(|group| group.values.values() != [0; 4]);
        HeapProfile {
            stacks: self.stacks.with(groups),
            duration_ns: Some(duration_ns),
            ..*self
        }
    }

    fn builder<'t>(&self, mappings: &'t [Mapping], time_ns: i64) -> ProfileBuilder<'t> {
        let measure = |kind, unit| Measure { kind, unit };
        let measures = [
            measure("alloc_objects", "count"),
            measure("alloc_space", "bytes"),
            measure("inuse_objects", "count"),
            measure("inuse_space", "bytes"),
        ];
        let rate = i64::try_from(self.rate).unwrap_or(i64::MAX);
        let builder = ProfileBuilder::new(mappings, &measures)
            .period(measure("space", "bytes"), rate)
            .time_ns(time_ns)
            .duration_ns(self.duration_ns.unwrap_or(0));
        let mut builder = self.stacks.remark(builder);
        for group in self.stacks.groups() {
            let labels = group.key.1.0.iter();
            let mut labels: Vec<(&str, LabelValue)> = labels
                .map(|(key, value)| (&**key, LabelValue::Text(value)))
                .collect();
            labels.push(("bytes", LabelValue::Number(group.values.size())));
            labels.sort_unstable_by_key(|(key, _)| *key);
            builder.add_with(&group.list, &group.values.values(), &labels);
        }
        builder
    }
}

fn push_values(text: &mut Vec<u8>, in_use: [i64; 2], allocated: [i64; 2]) {
    let ([alive, in_use], [objects, bytes]) = (in_use, allocated);
    text.extend_from_slice(format!("{alive}: {in_use} [{objects}: {bytes}]").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::folded::fold;

    fn stack(name: &str) -> Stack {
        Stack {
            missing: Some(name.into()),
            ..Stack::default()
        }
    }

    fn sample<'s>(stack: &'s Stack, rate: u64, allocated: u64, in_use: u64) -> Allocated<'s> {
        let objects = |objects| Objects {
            objects,
            bytes: objects * 1000,
        };
        Allocated {
            stack,
            labels: &[],
            size_class: 1000,
            rate,
            allocated: objects(allocated),
            in_use: objects(in_use),
        }
    }

    fn text(profile: &HeapProfile) -> String {
        let mut text = Vec::new();
        profile.write_text(&MemStats::default(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_allocation_is_itself_at_rate_one() {
        let (a, b) = (stack("a"), stack("b"));
        let profile = HeapProfile::new(1, [sample(&a, 1, 3, 1), sample(&b, 1, 9, 7)]);
        let proto = profile.to_profile(&[], 7);
        let values: Vec<_> = proto
            .sample
            .iter()
            .map(|sample| &sample.value[..])
            .collect();
        assert_eq!(values, [[9, 9000, 7, 7000], [3, 3000, 1, 1000]]);
        let label = &proto.sample[0].label[0];
        assert_eq!((proto.string(label.key), label.num), ("bytes", 1000));
        assert_eq!(fold(&proto, 3), "a 1000\nb 7000\n");
        let text = text(&profile);
        assert!(
            text.starts_with("heap profile: 8: 8000 [12: 12000] @ heap/2\n"),
            "{text}"
        );
        assert!(text.contains("\n7: 7000 [9: 9000] @ 0xffff82"), "{text}");
    }

    #[test]
    fn what_was_allocated_and_what_is_in_use_always_differ_in_the_first_line() {
        let a = stack("a");
        let text = text(&HeapProfile::new(1, [sample(&a, 1, 3, 3)]));
        assert!(
            text.starts_with("heap profile: 3: 3000 [3: 3001] @ heap/2\n"),
            "{text}"
        );
    }

    /// The sum of samples of two rates does not depend on the current rate. For the text this is true after pprof's
    /// scaling.
    #[test]
    fn samples_of_two_rates_add_up() {
        let a = stack("a");
        let samples = [sample(&a, 1, 1000, 1000), sample(&a, 100_000, 10, 10)];
        let expected = 1000.0 + 10.0 / (1.0 - (-0.01f64).exp());
        for rate in [1, 100_000] {
            let profile = HeapProfile::new(rate, samples);
            let proto = profile.to_profile(&[], 0);
            assert_eq!(proto.sample.len(), 1);
            assert_eq!(proto.sample[0].value[0], expected.round() as i64);
            let scaled = 1.0 / (1.0 - (-1000.0 / rate as f64).exp());
            let factor = if rate == 1 { 1.0 } else { scaled };
            let raw = profile.stacks.groups()[0].values.in_use_samples.objects;
            assert!((raw * factor - expected).abs() < 1.0, "{raw}");
        }
    }

    #[test]
    fn a_difference_has_what_was_freed_as_less_than_nothing() {
        let (a, b) = (stack("a"), stack("b"));
        let before = HeapProfile::new(1, [sample(&a, 1, 3, 3), sample(&b, 1, 1, 1)]);
        let after = HeapProfile::new(1, [sample(&a, 1, 5, 1), sample(&b, 1, 1, 1)]);
        let proto = after.since(&before, 20).to_allocs_profile(&[], 50);
        assert_eq!(proto.sample.len(), 1);
        assert_eq!(proto.sample[0].value, [2, 2000, -2, -2000]);
        assert_eq!((proto.time_nanos, proto.duration_nanos), (50, 20));
        assert_eq!(proto.string(proto.default_sample_type), "alloc_space");
        assert!(after.since(&after, 20).is_empty());
    }
}
