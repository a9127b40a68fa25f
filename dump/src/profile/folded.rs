//! Folded stacks, the input of flame graphs: a line for each stack, the root first, and its value.
//!
//! ```text
//! checkout::main;checkout::chaos::Chaos::leak;tokio::sync::mpsc::bounded::Receiver::recv 100
//! ```
//!
//! Folded stacks are made from [`Profile`], so every model that becomes a profile (tasks, waits, locks, CPU time) has a
//! folded form.

use std::collections::BTreeMap;

use crate::profile::proto::{Location, Profile};

/// The lines, in the order of their stacks. `measure` is the index of the value that is folded. Stacks with equal
/// functions are added up. Stacks with the value 0 are left out. A difference can have negative values.
///
/// A comment of the profile becomes a line that begins with `# `. Readers of the format skip such lines.
///
/// ```
/// use runtime_dump::profile::address_list::AddressList;
/// use runtime_dump::profile::folded::fold;
/// use runtime_dump::profile::builder::{Measure, ProfileBuilder};
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

/// Appends the frames of a location, the physical function first. The ids are those of a builder of this crate: an
/// index plus one.
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

/// Appends a frame, in a form that every reader of the format takes for the same frame:
///
/// * Characters that end a frame or the line are replaced: `[u8; 4]` has a semicolon of its own.
/// * A reader would take a number at the end of a name for a count (`conn 17 3` is the stack `conn` with a change from
///   17 to 3), so the blank before it becomes `_`. The first frame is treated like the last, because readers reverse
///   stacks.
/// * Readers trim lines, and then refuse lines that are out of order, so names have no blanks at their ends.
/// * Readers take a line that begins with `#` for a comment.
fn push_frame(stack: &mut String, name: &str) {
    if !stack.is_empty() {
        stack.push(';');
    }
    let name: String = name
        .chars()
        .map(|c| match c {
            ';' => ',',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    let mut name = name.trim();
    if name.is_empty() {
        name = "??";
    } else if stack.is_empty()
        && let Some(rest) = name.strip_prefix('#')
    {
        stack.push('?');
        name = rest;
    }
    match name.rsplit_once(char::is_whitespace) {
        Some((front, last)) if is_number(last) => {
            stack.push_str(front);
            stack.push('_');
            stack.push_str(last);
        }
        _ => stack.push_str(name),
    }
}

/// Whether any reader takes the word for a count.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[cfg(test)]
mod tests {
    use super::fold;
    use crate::profile::address_list::AddressList;
    use crate::profile::builder::{Measure, ProfileBuilder};
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
        assert_eq!(fold(&builder.build(), 0), "? 1,_2 3\n");
    }
}
