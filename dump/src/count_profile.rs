//! A profile that counts stacks: `goroutine`, `threadcreate`.
//!
//! What it says: so many records had this stack when the profile was taken. 1000 tasks that wait in one handler are one
//! line with the count 1000. It is a snapshot, not a rate: a task that waits for an hour counts as much as one that
//! waits for a millisecond.

use std::collections::HashMap;
use std::ptr;

use crate::address_list::AddressList;
use crate::stack::{Location, Stack};

/// Counted stacks, in the order of Go's profiles.
///
/// ```
/// use runtime_dump::count_profile::CountProfile;
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
    groups: Vec<Group>,
    comments: Vec<String>,
}

/// The records that have one address list.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The list as text; see [`AddressList::key`].
    pub(crate) key: String,
    pub(crate) list: AddressList,
    pub(crate) count: u64,
}

impl CountProfile {
    /// Counts stacks, each of which may come several times and stand for several records.
    ///
    /// pprof takes no white space in the name; it becomes `_`.
    pub fn new<'s>(name: &str, records: impl IntoIterator<Item = (&'s Stack, u64)>) -> Self {
        // First by identity: thousands of records share a stack of the table, and its address list takes a while.
        let mut distinct: Vec<(&Stack, u64)> = Vec::new();
        let mut indices = HashMap::new();
        for (stack, count) in records {
            let index = *indices.entry(ptr::from_ref(stack)).or_insert_with(|| {
                distinct.push((stack, 0));
                distinct.len() - 1
            });
            distinct[index].1 = distinct[index].1.saturating_add(count);
        }
        let lists = distinct
            .into_iter()
            .map(|(stack, count)| (AddressList::of(stack), count));
        Self {
            name: name.replace(|c: char| c.is_whitespace() || c.is_control(), "_"),
            groups: group(lists),
            comments: Vec::new(),
        }
    }

    /// The same with the scaffolding of all stacks left out, for forms that people look at.
    #[must_use]
    pub fn shown(&self) -> Self {
        let lists = self.groups.iter();
        Self {
            name: self.name.clone(),
            groups: group(lists.map(|group| (group.list.shown(), group.count))),
            comments: self.comments.clone(),
        }
    }

    /// Adds a remark on the whole profile; every format has a place for it.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.comments.push(text.into());
    }

    /// Keeps the `most` largest groups. Returns how many groups are left out, and how many records they are.
    pub fn truncate(&mut self, most: usize) -> (usize, u64) {
        let left_out = self.groups.split_off(most.min(self.groups.len()));
        let records = left_out
            .iter()
            .fold(0, |sum: u64, group| sum.saturating_add(group.count));
        (left_out.len(), records)
    }

    /// The name of the profile.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of records.
    pub fn total(&self) -> u64 {
        self.groups
            .iter()
            .fold(0, |total, group| total.saturating_add(group.count))
    }

    /// The locations of all address lists; one that several lists have comes several times.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        let lists = self.groups.iter().map(|group| group.list.locations());
        lists.flatten().map(|location| &**location)
    }

    /// The remarks.
    pub(crate) fn comments(&self) -> &[String] {
        &self.comments
    }

    /// The groups, the largest first.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// One group for equal lists, in the order of Go's profiles.
fn group(lists: impl Iterator<Item = (AddressList, u64)>) -> Vec<Group> {
    let mut groups = HashMap::new();
    for (list, count) in lists {
        let key = list.key();
        let group = groups.entry(key.clone()).or_insert(Group {
            key,
            list,
            count: 0,
        });
        group.count = group.count.saturating_add(count);
    }
    let mut groups: Vec<Group> = groups
        .into_values()
        .filter(|group| group.count > 0)
        .collect();
    groups.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
    groups
}
