//! Contention profiles, `block` and `mutex`: the number of waits by stack, and their total time.
//!
//! Unlike a count profile, a contention profile is cumulative since the start of the process. Its values are estimates
//! where events are sampled: each kept event stands for several.
//!
//! A stack begins with the call that waited, as in Go. The frames of the runtime below that call, and those between
//! futures, are left out. So the flat values of `-top` are those of functions like `Receiver::recv`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{self, Write};

use crate::profile::address_list::AddressList;
use crate::profile::builder::{Measure, ProfileBuilder};
use crate::profile::count_delta::{push_signed, push_span};
use crate::profile::count_text::{push_frames, push_remarks};
use crate::profile::labels::{self, Labels, borrowed, owned};
use crate::profile::proto;
use crate::profile::stack_profile::{Group, StackProfile, Values};
use crate::stack::{Location, Mapping, Stack};

/// The kind of a contention profile. The two kinds differ in the first line of their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Waiting, by the stack of the waiter.
    Block,
    /// Waiting for a lock, by the stack of the holder that released it.
    Mutex,
}

/// The waits of one stack and one reason.
#[derive(Clone, Copy, Debug)]
pub struct Contention<'s> {
    /// The stack.
    pub stack: &'s Stack,
    /// The reason, as in a dump's brackets (`chan receive`). It becomes the label `reason`. Empty where there is none.
    pub reason: &'s str,
    /// The labels that the user gave to the waiting task or thread, in the order of the keys.
    pub labels: &'s [(&'s str, &'s str)],
    /// The number of waits.
    pub count: f64,
    /// The total time of waiting, in nanoseconds.
    pub delay_ns: f64,
}

/// Contentions by stack and reason, the longest delay first.
///
/// ```
/// use runtime_dump::profile::contention::{Contention, ContentionProfile, Kind};
/// use runtime_dump::stack::Stack;
///
/// let stack = Stack { missing: Some("foreign task".into()), ..Stack::default() };
/// let wait = Contention { stack: &stack, reason: "chan receive", labels: &[], count: 2.5, delay_ns: 750.0 };
/// let mut text = Vec::new();
/// ContentionProfile::new(Kind::Block, [wait]).write_text(&mut text)?;
/// assert!(text.starts_with(b"--- contention:\ncycles/second=1000000000\n750 2 @ 0xffff82"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ContentionProfile {
    kind: Kind,
    stacks: StackProfile<Labels, Waited>,
    /// The length of the span, if the profile is a difference.
    duration_ns: Option<i64>,
}

/// A number of waits and their total time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    count: f64,
    delay_ns: f64,
}

/// The order is by delay, the longest first.
impl Values for Waited {
    fn add(&mut self, other: &Waited) {
        self.count += other.count;
        self.delay_ns += other.delay_ns;
    }

    fn is_nothing(&self) -> bool {
        false
    }

    fn compare(&self, other: &Waited) -> Ordering {
        other.delay_ns.total_cmp(&self.delay_ns)
    }
}

impl Waited {
    /// The number of whole events, as Go reports it: at least one for a positive count. A first wait that still goes on
    /// has a delay and the count 0.
    fn count(&self) -> i64 {
        (self.count as i64).max(i64::from(self.count > 0.0))
    }

    fn delay_ns(&self) -> i64 {
        self.delay_ns as i64
    }
}

impl ContentionProfile {
    /// Adds up the waits with equal stacks, reasons and labels.
    pub fn new<'s>(kind: Kind, events: impl IntoIterator<Item = Contention<'s>>) -> Self {
        let records = events.into_iter().map(|event| {
            let waited = Waited {
                count: event.count,
                delay_ns: event.delay_ns,
            };
            (event.stack, labels_of(&event), waited)
        });
        Self {
            kind,
            stacks: StackProfile::new(records, |stack| AddressList::of(stack).shown()),
            duration_ns: None,
        }
    }

    /// Adds a remark on the whole profile. Every format shows remarks.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.stacks.comment(text);
    }

    /// The number of groups, one for each stack, reason and set of labels.
    pub fn len(&self) -> usize {
        self.stacks.groups().len()
    }

    /// Whether the profile has no groups.
    pub fn is_empty(&self) -> bool {
        self.stacks.groups().is_empty()
    }

    /// The locations of all address lists. A location of several lists is returned several times.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.stacks.locations()
    }

    /// Writes the text of `debug=1`. A cycle is a nanosecond. Unlike Go's text, that of a mutex profile has no
    /// `sampling period`: its values are scaled already, and pprof would scale them again.
    pub fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let mut text = Vec::new();
        text.extend_from_slice(match self.kind {
            Kind::Block => b"--- contention:\n".as_slice(),
            Kind::Mutex => b"--- mutex:\n",
        });
        text.extend_from_slice(b"cycles/second=1000000000\n");
        if let Some(span) = self.duration_ns {
            push_span(&mut text, span);
        }
        push_remarks(&mut text, self.stacks.comments());
        for group in self.stacks.groups() {
            push_signed(&mut text, group.values.delay_ns());
            text.push(b' ');
            push_signed(&mut text, group.values.count());
            text.extend_from_slice(b" @");
            text.extend_from_slice(group.key.0.as_bytes());
            text.push(b'\n');
            labels::push_line(&mut text, &group.key.1);
            push_frames(&mut text, &group.list);
            out.write_all(&text)?;
            text.clear();
        }
        out.write_all(&text)?;
        out.flush()
    }

    /// Converts the profile to its binary form, `debug=0`.
    pub fn to_profile(&self, mappings: &[Mapping], time_ns: i64) -> proto::Profile {
        let mut builder = self.builder(mappings).time_ns(time_ns);
        if let Some(span) = self.duration_ns {
            builder = builder.duration_ns(span);
        }
        for group in self.stacks.groups() {
            let values = [group.values.count(), group.values.delay_ns()];
            builder.add_labeled(&group.list, &values, &borrowed(&group.key.1));
        }
        builder.build()
    }

    /// The waits since `before`, within `duration_ns` nanoseconds, as for Go's `seconds=N`.
    #[must_use]
    pub fn since(&self, before: &ContentionProfile, duration_ns: i64) -> Self {
        let then = before.stacks.groups().iter();
        let then: HashMap<_, _> = then.map(|group| (&group.key, group.values)).collect();
        let more = self.stacks.groups().iter().filter_map(|group| {
            let before = then.get(&group.key);
            let count = group.values.count() - before.map_or(0, Waited::count);
            let delay_ns = group.values.delay_ns() - before.map_or(0, Waited::delay_ns);
            (count != 0 || delay_ns != 0).then(|| Group {
                values: Waited {
                    count: count as f64,
                    delay_ns: delay_ns as f64,
                },
                ..group.clone()
            })
        });
        Self {
            kind: self.kind,
            stacks: self.stacks.with(more.collect()),
            duration_ns: Some(duration_ns),
        }
    }

    fn builder<'t>(&self, mappings: &'t [Mapping]) -> ProfileBuilder<'t> {
        let contentions = Measure {
            kind: "contentions",
            unit: "count",
        };
        let delay = Measure {
            kind: "delay",
            unit: "nanoseconds",
        };
        let builder = ProfileBuilder::new(mappings, &[contentions, delay]).period(contentions, 1);
        self.stacks.remark(builder)
    }
}

/// The labels of a contention. The probe's label `reason` stands before a user's label of the same name.
fn labels_of(event: &Contention<'_>) -> Labels {
    let mut labels = owned(event.labels);
    if !event.reason.is_empty() {
        let at = labels.partition_point(|(key, _)| key.as_str() < "reason");
        labels.insert(at, ("reason".to_owned(), event.reason.to_owned()));
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::folded::fold;
    use crate::stack::Frame;
    use std::sync::Arc;

    fn stack(name: &str) -> Stack {
        Stack {
            missing: Some(name.into()),
            ..Stack::default()
        }
    }

    fn wait<'s>(stack: &'s Stack, reason: &'s str, count: f64, delay_ns: f64) -> Contention<'s> {
        Contention {
            stack,
            reason,
            labels: &[],
            count,
            delay_ns,
        }
    }

    #[test]
    fn equal_places_are_one_for_each_reason() {
        let (a, again, b) = (stack("a"), stack("a"), stack("b"));
        let profile = ContentionProfile::new(
            Kind::Block,
            [
                wait(&a, "chan receive", 1.5, 10.0),
                wait(&again, "chan receive", 1.5, 20.0),
                wait(&a, "select", 1.0, 5.0),
                wait(&b, "", 0.25, 100.0),
            ],
        );
        let proto = profile.to_profile(&[], 7);
        let values: Vec<_> = proto
            .sample
            .iter()
            .map(|sample| &sample.value[..])
            .collect();
        assert_eq!(values, [[1, 100], [3, 30], [1, 5]]);
        let label = &proto.sample[1].label[0];
        assert_eq!(
            (proto.string(label.key), proto.string(label.str)),
            ("reason", "chan receive")
        );
        assert!(proto.sample[0].label.is_empty());
        assert_eq!(fold(&proto, 1), "a 35\nb 100\n");
    }

    #[test]
    fn stacks_begin_with_the_call_that_waited() {
        let location = |return_address, function: &str, hidden| {
            Arc::new(Location {
                return_address,
                function_offset: None,
                frames: vec![Frame {
                    function: function.into(),
                    file: "".into(),
                    line: 0,
                }],
                hidden,
            })
        };
        let stack = Stack {
            trunk: vec![
                location(0x10, "clone", true),
                location(0x20, "recv", false),
                location(0x30, "poll", true),
                location(0x40, "app", false),
            ],
            ..Stack::default()
        };
        let profile = ContentionProfile::new(Kind::Block, [wait(&stack, "", 1.0, 1.0)]);
        assert_eq!(fold(&profile.to_profile(&[], 0), 0), "app;recv 1\n");
        let mut text = Vec::new();
        profile.write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("\n1 1 @ 0x20 0x40\n"), "{text}");
    }

    #[test]
    fn a_delta_is_what_came_since() {
        let (a, b) = (stack("a"), stack("b"));
        let before = ContentionProfile::new(Kind::Mutex, [wait(&a, "", 2.0, 100.0)]);
        let after = ContentionProfile::new(
            Kind::Mutex,
            [wait(&a, "", 5.0, 170.0), wait(&b, "", 1.0, 9.0)],
        );
        let delta = after.since(&before, 20).to_profile(&[], 50);
        let values: Vec<_> = delta
            .sample
            .iter()
            .map(|sample| &sample.value[..])
            .collect();
        assert_eq!(values, [[3, 70], [1, 9]]);
        assert_eq!((delta.time_nanos, delta.duration_nanos), (50, 20));
        assert!(after.since(&after, 20).is_empty());
    }
}
