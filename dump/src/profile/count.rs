//! A profile with a count by stack: `goroutine`, `threadcreate`.
//!
//! The count of a stack is the number of records with this stack at the time of the profile. 1000 tasks that wait in
//! one handler are one line with the count 1000. The profile is a snapshot, not a rate: a task that waits for an hour
//! counts as much as one that waits for a millisecond.

use crate::profile::address_list::AddressList;
use crate::profile::labels::{Labels, owned};
use crate::profile::stack_profile::StackProfile;
use crate::stack::{Location, Stack};

/// Stacks with their counts, in the order of Go's profiles.
///
/// ```
/// use runtime_dump::profile::count::CountProfile;
/// use runtime_dump::stack::Stack;
///
/// let stack = Stack { missing: Some("foreign task".into()), ..Stack::default() };
/// let profile = CountProfile::new("goroutine", [(&stack, 2), (&stack, 1)]);
/// let mut text = Vec::new();
/// profile.write_text(&mut text)?;
/// assert!(text.starts_with(b"goroutine profile: total 3\n3 @ 0xffff82"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CountProfile {
    name: String,
    stacks: StackProfile<Labels, u64>,
}

impl CountProfile {
    /// Counts stacks. A stack may come several times, and each time stand for several records.
    ///
    /// pprof accepts no white space in the name, so white space becomes `_`.
    pub fn new<'s>(name: &str, records: impl IntoIterator<Item = (&'s Stack, u64)>) -> Self {
        let records = records.into_iter();
        Self::labeled(name, records.map(|(stack, count)| (stack, NONE, count)))
    }

    /// Counts stacks with labels, given as keys and values in the order of the keys. Records with different labels are
    /// kept apart.
    pub fn labeled<'s>(
        name: &str,
        records: impl IntoIterator<Item = (&'s Stack, Pairs<'s>, u64)>,
    ) -> Self {
        let records = records.into_iter();
        let records = records.map(|(stack, labels, count)| (stack, owned(labels), count));
        Self {
            name: name.replace(|c: char| c.is_whitespace() || c.is_control(), "_"),
            stacks: StackProfile::new(records, AddressList::of),
        }
    }

    /// The profile without the scaffolding of its stacks, for people.
    #[must_use]
    pub fn shown(&self) -> Self {
        Self {
            name: self.name.clone(),
            stacks: self.stacks.shown(),
        }
    }

    /// Adds a remark on the whole profile. Every format shows remarks.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.stacks.comment(text);
    }

    /// Keeps the `most` largest groups. Returns the number of the other groups and the number of their records.
    pub fn truncate(&mut self, most: usize) -> (usize, u64) {
        let left_out = self.stacks.split_off(most);
        let records = left_out
            .iter()
            .fold(0, |sum: u64, group| sum.saturating_add(group.values));
        (left_out.len(), records)
    }

    /// The name of the profile.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of records.
    pub fn total(&self) -> u64 {
        self.stacks.total().unwrap_or(0)
    }

    /// The locations of all address lists. A location of several lists is returned several times.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.stacks.locations()
    }

    pub(crate) fn stacks(&self) -> &StackProfile<Labels, u64> {
        &self.stacks
    }
}

/// Keys and values of labels.
type Pairs<'s> = &'s [(&'s str, &'s str)];

const NONE: Pairs<'_> = &[];
