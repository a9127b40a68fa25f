//! The difference of two count profiles: Go's `seconds=N`, and also as text, which Go does not have.
//!
//! A stack with more records than before has a positive count, a stack with fewer a negative one. Unchanged stacks are
//! left out. pprof reads the text if no count is negative.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::profile::address_list::AddressList;
use crate::profile::builder::{Measure, ProfileBuilder};
use crate::profile::count::CountProfile;
use crate::profile::count_text::{push_frames, push_remarks};
use crate::profile::labels::{self, Labels, borrowed};
use crate::profile::proto;
use crate::stack::{Location, Mapping};
use crate::text::digits::push_decimal;
use crate::text::duration::push_duration;

/// The changes, the largest increase first.
///
/// ```
/// use runtime_dump::profile::count::CountProfile;
/// use runtime_dump::stack::Stack;
///
/// let [a, b] = ["a", "b"].map(|why| Stack { missing: Some(why.into()), ..Stack::default() });
/// let before = CountProfile::new("goroutine", [(&a, 2), (&b, 2)]);
/// let after = CountProfile::new("goroutine", [(&a, 5)]);
/// let mut text = Vec::new();
/// after.since(&before, 2_000_000_000).write_text(&mut text)?;
/// let text = String::from_utf8(text)?;
/// assert!(text.starts_with("goroutine profile: total 1\n# change within 2s\n3 @ 0xffff82"));
/// assert!(text.contains("\n-2 @ 0xffff82"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CountDelta {
    name: String,
    groups: Vec<Change>,
    comments: Vec<String>,
    duration_ns: i64,
}

/// The change of the count of an address list with its labels.
#[derive(Clone, Debug)]
struct Change {
    /// The key of the list, as of [`AddressList::key`], and the labels.
    key: (String, Labels),
    list: AddressList,
    by: i64,
}

impl CountProfile {
    /// The changes of the counts since `before`, within `duration_ns` nanoseconds.
    pub fn since(&self, before: &CountProfile, duration_ns: i64) -> CountDelta {
        let counts = |profile: &CountProfile, sign: i64| {
            let groups = profile.stacks().groups().iter();
            let signed = |count: u64| sign * i64::try_from(count).unwrap_or(i64::MAX);
            groups
                .map(|group| {
                    (
                        group.list.clone(),
                        group.key.1.clone(),
                        signed(group.values),
                    )
                })
                .collect::<Vec<_>>()
        };
        CountDelta {
            name: self.name().to_owned(),
            groups: added_up(counts(self, 1).into_iter().chain(counts(before, -1))),
            comments: self.stacks().comments().to_vec(),
            duration_ns,
        }
    }
}

impl CountDelta {
    /// Whether no count changed.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The difference without the scaffolding of its stacks, for people.
    #[must_use]
    pub fn shown(&self) -> Self {
        let groups = self.groups.iter();
        Self {
            groups: added_up(
                groups.map(|change| (change.list.shown(), change.key.1.clone(), change.by)),
            ),
            ..self.clone()
        }
    }

    /// Adds a remark on the whole difference. Every format shows remarks.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.comments.push(text.into());
    }

    /// The locations of all address lists. A location of several lists is returned several times.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        let lists = self.groups.iter().map(|change| change.list.locations());
        lists.flatten().map(|location| &**location)
    }

    /// Writes the text of `debug=1`, with signed counts.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let total = self.groups.iter().map(|change| change.by);
        let mut text = format!("{} profile: total ", self.name).into_bytes();
        push_signed(&mut text, total.fold(0, i64::saturating_add));
        text.push(b'\n');
        push_span(&mut text, self.duration_ns);
        push_remarks(&mut text, &self.comments);
        for Change { key, list, by } in &self.groups {
            push_signed(&mut text, *by);
            text.extend_from_slice(b" @");
            text.extend_from_slice(key.0.as_bytes());
            text.push(b'\n');
            labels::push_line(&mut text, &key.1);
            push_frames(&mut text, list);
            out.write_all(&text)?;
            text.clear();
        }
        out.write_all(&text)?;
        out.flush()
    }

    /// Converts the difference to its binary form. `time_ns` is the time of its end.
    pub fn to_profile(&self, mappings: &[Mapping], time_ns: i64) -> proto::Profile {
        let measure = Measure {
            kind: &self.name,
            unit: "count",
        };
        let builder = ProfileBuilder::new(mappings, &[measure])
            .period(measure, 1)
            .time_ns(time_ns)
            .duration_ns(self.duration_ns);
        let comments = self.comments.iter();
        let mut builder = comments.fold(builder, |builder, comment| builder.comment(comment));
        for Change { key, list, by } in &self.groups {
            builder.add_labeled(list, &[*by], &borrowed(&key.1));
        }
        builder.build()
    }
}

/// Appends the line with the length of the span.
pub(crate) fn push_span(text: &mut Vec<u8>, duration_ns: i64) {
    text.extend_from_slice(b"# change within ");
    push_duration(text, duration_ns.unsigned_abs());
    text.push(b'\n');
}

/// Appends a number, with its sign if the number is negative.
pub(crate) fn push_signed(text: &mut Vec<u8>, number: i64) {
    if number < 0 {
        text.push(b'-');
    }
    push_decimal(text, number.unsigned_abs());
}

/// Adds up the changes of equal lists with equal labels. Sums of zero are left out.
fn added_up(lists: impl Iterator<Item = (AddressList, Labels, i64)>) -> Vec<Change> {
    let mut changes: HashMap<(String, Labels), Change> = HashMap::new();
    for (list, labels, count) in lists {
        let key = (list.key(), labels);
        let change = changes.entry(key).or_insert_with_key(|key| Change {
            key: key.clone(),
            list,
            by: 0,
        });
        change.by = change.by.saturating_add(count);
    }
    let mut changes: Vec<Change> = changes
        .into_values()
        .filter(|change| change.by != 0)
        .collect();
    changes.sort_unstable_by(|a, b| b.by.cmp(&a.by).then_with(|| a.key.cmp(&b.key)));
    changes
}
