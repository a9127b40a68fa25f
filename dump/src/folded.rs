//! Folded stacks, the input of flame graphs: a line for each stack, the root first, and its value.
//!
//! ```text
//! checkout::main;checkout::chaos::Chaos::leak;tokio::sync::mpsc::bounded::Receiver::recv 100
//! ```
//!
//! Made from [`Profile`], not from any of the models that lead to it: whatever becomes a profile (tasks, waits, locks,
//! time on a CPU) has its folded form from here.

use std::collections::BTreeMap;

use crate::proto::{Location, Profile};

/// The lines, in the order of their stacks. `measure` is the index of the value that counts; stacks that are equal by
/// their functions are added up, and those of value 0 left out. A delta can have negative values.
///
/// A comment of the profile is a line that begins with `# `, which the readers of the format skip.
///
/// ```
/// use runtime_dump::address_list::AddressList;
/// use runtime_dump::folded::fold;
/// use runtime_dump::profile::{Measure, ProfileBuilder};
/// use runtime_dump::stack::Stack;
///
/// let measure = Measure { kind: "goroutine", unit: "count" };
/// let stack = Stack { missing: Some("foreign task: hyper".into()), ..Stack::default() };
/// let mut builder = ProfileBuilder::new(&[], &[measure]);
/// builder.add(&AddressList::of(&stack), &[3]);
/// assert_eq!(fold(&builder.build(), 0), "foreign task 3\n");
/// ```
pub fn fold(profile: &Profile, measure: usize) -> String {
    let mut stacks: BTreeMap<String, i64> = BTreeMap::new();
    for sample in &profile.sample {
        let mut stack = String::new();
        for id in sample.location_id.iter().rev() {
            push_location(&mut stack, profile, *id);
        }
        let value = sample.value.get(measure).copied().unwrap_or(0);
        let sum = stacks.entry(stack).or_default();
        *sum = sum.saturating_add(value);
    }
    let comments = profile.comment.iter().map(|comment| {
        let text: String = profile
            .string(*comment)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!("# {text}\n")
    });
    let lines = stacks
        .iter()
        .filter(|(_, value)| **value != 0)
        .map(|(stack, value)| format!("{stack} {value}\n"));
    comments.chain(lines).collect()
}

/// Appends the frames of a location, the physical function first. The ids are those that a builder of this crate gives
/// out: an index and one.
fn push_location(stack: &mut String, profile: &Profile, id: u64) {
    let location = usize::try_from(id)
        .ok()
        .and_then(|id| profile.location.get(id.checked_sub(1)?));
    let Some(location) = location else { return };
    if location.line.is_empty() {
        push_frame(stack, &format!("{:#x}", location.address));
    }
    for name in names(profile, location) {
        push_frame(stack, name);
    }
}

fn names<'p>(profile: &'p Profile, location: &'p Location) -> impl Iterator<Item = &'p str> {
    location.line.iter().rev().map(|line| {
        let function = usize::try_from(line.function_id)
            .ok()
            .and_then(|id| profile.function.get(id.checked_sub(1)?));
        function.map_or("unknown", |function| profile.string(function.name))
    })
}

/// Appends a frame. What would end it, or the line, is replaced: `[u8; 4]` has a semicolon of its own. So is what would make
/// a comment of the line, whose readers would lose the stack.
fn push_frame(stack: &mut String, mut name: &str) {
    if !stack.is_empty() {
        stack.push(';');
    } else if let Some(rest) = name.strip_prefix('#') {
        stack.push('?');
        name = rest;
    }
    stack.extend(name.chars().map(|c| match c {
        ';' => ',',
        c if c.is_control() => ' ',
        c => c,
    }));
}

#[cfg(test)]
mod tests {
    use super::fold;
    use crate::address_list::AddressList;
    use crate::profile::{Measure, ProfileBuilder};
    use crate::stack::Stack;

    #[test]
    fn a_stack_is_no_comment_whatever_its_root_is_called() {
        let stack = Stack {
            missing: Some("# 1; 2".into()),
            ..Stack::default()
        };
        let measure = Measure {
            kind: "goroutine",
            unit: "count",
        };
        let mut builder = ProfileBuilder::new(&[], &[measure]);
        builder.add(&AddressList::of(&stack), &[3]);
        assert_eq!(fold(&builder.build(), 0), "? 1, 2 3\n");
    }
}
