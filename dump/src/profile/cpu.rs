//! A CPU profile: CPU time by stack, estimated from samples.
//!
//! A sample stands for one period of CPU time. A function with 300 of 1000 samples at 100 a second ran for three of ten
//! seconds. Waiting tasks have no samples. The estimate has the error of counting: 300 samples are accurate to about
//! 17.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::profile::address_list::AddressList;
use crate::profile::builder::{Measure, ProfileBuilder};
use crate::profile::count_text::{push_frames, push_remarks};
use crate::profile::labels::{self, Labels, borrowed, owned};
use crate::profile::proto;
use crate::profile::stack_profile::{Group, StackProfile, Values};
use crate::stack::{Location, Mapping, Stack};
use crate::text::digits::push_decimal;

/// The samples of one stack.
#[derive(Clone, Copy, Debug)]
pub struct Ran<'s> {
    /// The stack.
    pub stack: &'s Stack,
    /// The labels, by which pprof can filter and split, in the order of the keys as in Go.
    pub labels: &'s [(&'s str, &'s str)],
    /// The number of samples, each a period of CPU time.
    pub samples: u64,
}

/// The time of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The begin, in nanoseconds since 1970.
    pub time_ns: i64,
    /// The length, in nanoseconds.
    pub duration_ns: i64,
}

/// CPU time by stack and labels, the longest first.
///
/// ```
/// use runtime_dump::profile::cpu::{CpuProfile, Ran, Taken};
/// use runtime_dump::stack::Stack;
///
/// let stack = Stack { missing: Some("no stack".into()), ..Stack::default() };
/// let ran = Ran { stack: &stack, labels: &[("thread", "worker")], samples: 30 };
/// let profile = CpuProfile::new(10_000_000, [ran]);
/// let taken = Taken { time_ns: 0, duration_ns: 1_000_000_000 };
/// assert_eq!(profile.to_profile(&[], taken).sample[0].value, [30, 300_000_000]);
/// ```
#[derive(Clone, Debug)]
pub struct CpuProfile {
    period_ns: i64,
    stacks: StackProfile<Labels, u64>,
}

/// The most stacks of a text. Further stacks are a small part of the time.
pub const MOST_WRITTEN: usize = 100;

impl CpuProfile {
    /// Adds up the samples of equal stacks with equal labels, each of which stands for `period_ns` nanoseconds.
    pub fn new<'s>(period_ns: i64, samples: impl IntoIterator<Item = Ran<'s>>) -> Self {
        let records = samples
            .into_iter()
            .map(|ran| (ran.stack, owned(ran.labels), ran.samples));
        Self {
            period_ns,
            stacks: StackProfile::new(records, AddressList::of),
        }
    }

    /// The profile without the scaffolding of its stacks, for people.
    #[must_use]
    pub fn shown(&self) -> Self {
        Self {
            period_ns: self.period_ns,
            stacks: self.stacks.shown(),
        }
    }

    /// Adds a remark on the whole profile. Every format shows remarks.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.stacks.comment(text);
    }

    /// Whether the profile has no samples.
    pub fn is_empty(&self) -> bool {
        self.stacks.groups().is_empty()
    }

    /// The number of samples.
    pub fn total(&self) -> u64 {
        self.stacks.total().unwrap_or(0)
    }

    /// The locations of all address lists. A location of several lists is returned several times.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.stacks.locations()
    }

    /// Merges the groups of stacks that have the same functions and labels but different instructions. The merged group
    /// has the addresses of the stack with the most samples, without scaffolding.
    fn by_function(&self) -> Vec<Group<Labels, u64>> {
        let mut places: HashMap<(String, &Labels), usize> = HashMap::new();
        let mut groups: Vec<Group<Labels, u64>> = Vec::new();
        // The groups are in the order of their samples, the most first.
        for group in self.stacks.groups() {
            let list = group.list.shown();
            let place = places.entry((functions(&list), &group.key.1));
            let at = *place.or_insert(groups.len());
            match groups.get_mut(at) {
                Some(known) => known.values.add(&group.values),
                None => groups.push(Group {
                    key: (list.key(), group.key.1.clone()),
                    list,
                    values: group.values,
                }),
            }
        }
        // A stable sort keeps the order of groups with equal counts.
        groups.sort_by_key(|group| Reverse(group.values));
        groups
    }

    /// Writes the text of `debug=1` in the form of Go's count profiles, with samples as counts. Stacks of the same
    /// functions are merged, and at most [`MOST_WRITTEN`] are written. Go has no text for CPU time.
    pub fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let mut text = b"cpu profile: total ".to_vec();
        push_decimal(&mut text, self.total());
        text.push(b'\n');
        push_remarks(&mut text, self.stacks.comments());
        let groups = self.by_function();
        let (written, rest) = groups.split_at(groups.len().min(MOST_WRITTEN));
        if !rest.is_empty() {
            let samples = rest.iter().map(|group| group.values).sum::<u64>();
            let (stacks, most) = (rest.len(), MOST_WRITTEN);
            push_remarks(
                &mut text,
                &[format!(
                    "the {most} stacks with the most samples; {stacks} more, with {samples} samples, are in debug=0"
                )],
            );
        }
        for group in written {
            let (addresses, labels) = &group.key;
            push_decimal(&mut text, group.values);
            text.extend_from_slice(b" @");
            text.extend_from_slice(addresses.as_bytes());
            text.push(b'\n');
            labels::push_line(&mut text, labels);
            push_frames(&mut text, &group.list);
            out.write_all(&text)?;
            text.clear();
        }
        out.write_all(&text)?;
        out.flush()
    }

    /// Converts the profile to its binary form, `debug=0`.
    pub fn to_profile(&self, mappings: &[Mapping], taken: Taken) -> proto::Profile {
        let measure = |kind, unit| Measure { kind, unit };
        let time = measure("cpu", "nanoseconds");
        let builder = ProfileBuilder::new(mappings, &[measure("samples", "count"), time])
            .period(time, self.period_ns)
            .time_ns(taken.time_ns)
            .duration_ns(taken.duration_ns);
        let mut builder = self.stacks.remark(builder);
        for group in self.stacks.groups() {
            let samples = i64::try_from(group.values).unwrap_or(i64::MAX);
            let values = [samples, samples.saturating_mul(self.period_ns)];
            builder.add_labeled(&group.list, &values, &borrowed(&group.key.1));
        }
        builder.build()
    }
}

/// The functions of a list. A frame without a name is shown by its address.
fn functions(list: &AddressList) -> String {
    let mut functions = String::new();
    for location in list.locations() {
        if location.frames.is_empty() {
            let _ = write!(functions, "{:#x}", location.return_address);
        }
        for frame in &location.frames {
            functions.push_str(&frame.function);
            functions.push('\n');
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Frame;
    use std::sync::Arc;

    fn stack(name: &str) -> Stack {
        Stack {
            missing: Some(name.into()),
            ..Stack::default()
        }
    }

    fn ran<'s>(stack: &'s Stack, labels: &'s [(&'s str, &'s str)], samples: u64) -> Ran<'s> {
        Ran {
            stack,
            labels,
            samples,
        }
    }

    #[test]
    fn equal_stacks_are_one_for_each_set_of_labels() {
        let (a, again, b) = (stack("a"), stack("a"), stack("b"));
        let (one, other) = ([("task", "one")], [("task", "other")]);
        let mut profile = CpuProfile::new(
            10,
            [
                ran(&a, &one, 1),
                ran(&b, &[], 4),
                ran(&again, &one, 2),
                ran(&a, &other, 2),
                ran(&b, &one, 0),
            ],
        );
        profile.comment("a remark");
        let taken = Taken {
            time_ns: 7,
            duration_ns: 8,
        };
        let proto = profile.to_profile(&[], taken);
        let values: Vec<_> = proto
            .sample
            .iter()
            .map(|sample| &sample.value[..])
            .collect();
        assert_eq!(values, [[4, 40], [3, 30], [2, 20]]);
        assert!(proto.sample[0].label.is_empty());
        let label = &proto.sample[1].label[0];
        assert_eq!(
            (proto.string(label.key), proto.string(label.str)),
            ("task", "one")
        );
        assert_eq!((proto.time_nanos, proto.duration_nanos), (7, 8));
        assert_eq!(proto.period, 10);
        let types = |at: usize| proto.string(proto.sample_type[at].r#type);
        assert_eq!((types(0), types(1)), ("samples", "cpu"));
        assert_eq!(profile.total(), 9);
    }

    #[test]
    fn the_text_is_that_of_a_count_profile() {
        let a = stack("a");
        let labels = [("spawned_at", "src/a \"b\".rs:1:2"), ("task", "one")];
        let mut profile = CpuProfile::new(10, [ran(&a, &labels, 5)]);
        profile.comment("a remark");
        let mut text = Vec::new();
        profile.write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, rest) = text.split_once("5 @ 0x").unwrap();
        assert_eq!(head, "cpu profile: total 5\n# a remark\n");
        let labels =
            "\n# labels: {\"spawned_at\":\"src/a \\\"b\\\".rs:1:2\", \"task\":\"one\"}\n#\t0x";
        assert!(rest.contains(labels), "{text}");
    }

    #[test]
    fn the_text_has_stacks_of_the_same_functions_once_and_not_all_of_them() {
        let at = |address: u64, function: &str| Stack {
            trunk: vec![Arc::new(Location {
                return_address: address,
                function_offset: None,
                frames: vec![Frame {
                    function: function.into(),
                    file: "src/a.rs".into(),
                    line: address as u32,
                }],
                hidden: false,
            })],
            ..Stack::default()
        };
        let stacks = [at(7, "hot"), at(8, "cold"), at(9, "hot"), at(10, "hot")];
        let samples = stacks.iter().zip([2, 5, 3, 1]);
        let labels = [("spawned_at", "src/a.rs:1:2")];
        let samples = samples.map(|(stack, samples)| ran(stack, &labels, samples));
        let text = |profile: CpuProfile| {
            let mut text = Vec::new();
            profile.write_text(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        let hot = text(CpuProfile::new(10, samples));
        assert_eq!(hot.matches("@ 0x").count(), 2, "{hot}");
        assert!(hot.contains("\n6 @ 0x9\n"), "{hot}");
        assert!(hot.contains("\n5 @ 0x8\n"), "{hot}");

        let many: Vec<Stack> = (0..MOST_WRITTEN as u64 + 3)
            .map(|address| at(100 + address, &format!("f{address}")))
            .collect();
        let text = text(CpuProfile::new(
            10,
            many.iter().map(|stack| ran(stack, &[], 1)),
        ));
        assert_eq!(text.matches("@ 0x").count(), MOST_WRITTEN, "{text}");
        assert!(
            text.contains("; 3 more, with 3 samples, are in debug=0\n"),
            "{text}"
        );
    }

    #[test]
    fn numbers_that_do_not_fit_stay_the_largest() {
        let a = stack("a");
        let profile = CpuProfile::new(10, [ran(&a, &[], u64::MAX), ran(&a, &[], 1)]);
        let proto = profile.to_profile(&[], Taken::default());
        assert_eq!(proto.sample[0].value, [i64::MAX, i64::MAX]);
    }
}
