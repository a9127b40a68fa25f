//! Values by stack and labels, the base of each profile of stacks.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;
use std::ptr;

use crate::profile::address_list::AddressList;
use crate::profile::builder::ProfileBuilder;
use crate::stack::{Location, Stack};

/// The values that are added up for a stack and its labels.
pub(crate) trait Values: Clone {
    fn add(&mut self, other: &Self);

    /// Whether the group is left out.
    fn is_nothing(&self) -> bool;

    /// Compares groups for their order.
    fn compare(&self, other: &Self) -> Ordering;
}

/// The order is by count, the largest first.
impl Values for u64 {
    fn add(&mut self, other: &u64) {
        *self = self.saturating_add(*other);
    }

    fn is_nothing(&self) -> bool {
        *self == 0
    }

    fn compare(&self, other: &u64) -> Ordering {
        other.cmp(self)
    }
}

/// The values of one address list with the same labels.
#[derive(Clone, Debug)]
pub(crate) struct Group<L, V> {
    /// The key of the list, as of [`AddressList::key`], and the labels.
    pub(crate) key: (String, L),
    pub(crate) list: AddressList,
    pub(crate) values: V,
}

/// Groups in the order of their values, and remarks on the whole profile. Groups of equal values are in the order of
/// their keys.
#[derive(Clone, Debug)]
pub(crate) struct StackProfile<L, V> {
    groups: Vec<Group<L, V>>,
    comments: Vec<String>,
}

impl<L: Clone + Hash + Ord, V: Values> StackProfile<L, V> {
    /// Adds up the values of equal stacks with equal labels. `list` returns the address list of a stack.
    pub(crate) fn new<'s>(
        records: impl IntoIterator<Item = (&'s Stack, L, V)>,
        list: impl Fn(&Stack) -> AddressList,
    ) -> Self {
        // The first pass merges records by the identity of their stacks: thousands of records share a stack of the
        // table, and an address list takes a while to make.
        let mut distinct: Vec<(&Stack, L, V)> = Vec::new();
        let mut indices: HashMap<(*const Stack, L), usize> = HashMap::new();
        for (stack, labels, values) in records {
            match indices.get(&(ptr::from_ref(stack), labels.clone())) {
                Some(index) => distinct[*index].2.add(&values),
                None => {
                    indices.insert((ptr::from_ref(stack), labels.clone()), distinct.len());
                    distinct.push((stack, labels, values));
                }
            }
        }
        let mut lists: HashMap<*const Stack, AddressList> = HashMap::new();
        let listed = distinct.into_iter().map(|(stack, labels, values)| {
            let known = lists.entry(ptr::from_ref(stack));
            (known.or_insert_with(|| list(stack)).clone(), labels, values)
        });
        StackProfile {
            groups: group(listed),
            comments: Vec::new(),
        }
    }

    /// The profile without the scaffolding of its stacks, for people.
    pub(crate) fn shown(&self) -> Self {
        let groups = self.groups.iter();
        StackProfile {
            groups: group(groups.map(|group| {
                let labels = group.key.1.clone();
                (group.list.shown(), labels, group.values.clone())
            })),
            comments: self.comments.clone(),
        }
    }

    /// The profile with these groups, which are sorted, and the same remarks.
    pub(crate) fn with(&self, mut groups: Vec<Group<L, V>>) -> Self {
        sort(&mut groups);
        StackProfile {
            groups,
            comments: self.comments.clone(),
        }
    }

    pub(crate) fn groups(&self) -> &[Group<L, V>] {
        &self.groups
    }

    /// Keeps the first `most` groups, and returns the others.
    pub(crate) fn split_off(&mut self, most: usize) -> Vec<Group<L, V>> {
        self.groups.split_off(most.min(self.groups.len()))
    }

    pub(crate) fn comment(&mut self, text: impl Into<String>) {
        self.comments.push(text.into());
    }

    pub(crate) fn comments(&self) -> &[String] {
        &self.comments
    }

    /// The locations of all address lists. A location of several lists is returned several times.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        let lists = self.groups.iter().map(|group| group.list.locations());
        lists.flatten().map(|location| &**location)
    }

    /// Adds the remarks to a builder.
    pub(crate) fn remark<'t>(&self, builder: ProfileBuilder<'t>) -> ProfileBuilder<'t> {
        let comments = self.comments.iter();
        comments.fold(builder, |builder, comment| builder.comment(comment))
    }
}

impl<L, V: Values> StackProfile<L, V> {
    /// The sum of all values.
    pub(crate) fn total(&self) -> Option<V> {
        let mut groups = self.groups.iter();
        let first = groups.next()?.values.clone();
        Some(groups.fold(first, |mut total, group| {
            total.add(&group.values);
            total
        }))
    }
}

/// Merges equal lists with equal labels, and sorts the groups.
fn group<L: Clone + Hash + Ord, V: Values>(
    listed: impl Iterator<Item = (AddressList, L, V)>,
) -> Vec<Group<L, V>> {
    let mut groups: HashMap<(String, L), Group<L, V>> = HashMap::new();
    for (list, labels, values) in listed {
        let key = (list.key(), labels);
        match groups.get_mut(&key) {
            Some(group) => group.values.add(&values),
            None => {
                let group = Group {
                    key: key.clone(),
                    list,
                    values,
                };
                groups.insert(key, group);
            }
        }
    }
    let mut groups: Vec<_> = groups
        .into_values()
        .filter(|group| !group.values.is_nothing())
        .collect();
    sort(&mut groups);
    groups
}

fn sort<L: Ord, V: Values>(groups: &mut [Group<L, V>]) {
    groups.sort_unstable_by(|a, b| {
        let order = a.values.compare(&b.values);
        order.then_with(|| a.key.cmp(&b.key))
    });
}
