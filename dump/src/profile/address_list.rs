//! The addresses by which a stack is counted.
//!
//! Go's count profiles identify a stack by one list of addresses, and merge equal lists. Every stack here has exactly
//! one such list, which is never empty (pprof's parsers reject an empty list). Text and binary profile both take the
//! list from this file, so that they agree:
//!
//! 1. The list of a stack without branches is its trunk.
//! 2. The list of a stack with branches has all branches below the trunk, the first one next to the trunk. Each branch
//!    is below a synthetic location with its number, named as in `debug=2`. So one task is one sample, whose list is
//!    determined by the trunk and the set of branches. Each function in which a branch waits appears in it. A sample
//!    for each branch was rejected: counts are integers and have to add up to the number of tasks, so of a single task
//!    all branches but one would be lost.
//! 3. A gap in the middle of a stack is the synthetic location `frames elided`. Otherwise a graph would show a call
//!    that does not exist.
//! 4. A stack without locations is one synthetic location, named after the reason for the missing stack.
//!
//! The addresses of these locations are the same in every process, so that profiles of two processes can be compared.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::stack::{Frame, Location, SYNTHETIC_BASE, Stack};

/// The base of the synthetic locations of this file. Those of a probe MUST lie between [`SYNTHETIC_BASE`] and this
/// base. Otherwise two locations could have the same address. The distance of 2^40 is enough for every name that a
/// process can hold.
pub const RESERVED_BASE: u64 = SYNTHETIC_BASE + (1 << 40);

/// The base of the locations of branches, each at a hash of its name.
const BRANCHES: u64 = RESERVED_BASE + (2 << 40);

/// The return address of the location `frames elided`.
const ELIDED: u64 = RESERVED_BASE + 0x20;

/// The base of the locations of reasons, each at a hash of its name.
const REASONS: u64 = RESERVED_BASE + (1 << 40);

/// The most locations in a list: Go's own bound of the stack depth. With it the longest line of a text is below 20 KiB
/// (1024 times ` 0x` and 16 digits). pprof's parser gives up at 64 KiB.
const MAX_LOCATIONS: usize = 1024;

/// The list of locations by which one stack is counted, leaf first.
#[derive(Clone, Debug)]
pub struct AddressList {
    locations: Vec<Arc<Location>>,
}

impl AddressList {
    /// The list of a stack.
    pub fn of(stack: &Stack) -> Self {
        let mut locations = Vec::with_capacity(stack.trunk.len() + 2);
        // The order is leaf first, so the first branch is next to the trunk.
        for (index, branch) in stack.branches.iter().enumerate().rev() {
            locations.extend_from_slice(&branch.locations);
            locations.push(named(BRANCHES, &stack.branch_name(index)));
        }
        match stack.elided {
            Some((gap, elided)) if elided > 0 => {
                let (leaf_side, root_side) = stack.trunk.split_at(gap.min(stack.trunk.len()));
                locations.extend_from_slice(leaf_side);
                locations.push(synthetic(ELIDED, "frames elided"));
                locations.extend_from_slice(root_side);
            }
            _ => locations.extend_from_slice(&stack.trunk),
        }
        if locations.is_empty() {
            locations.push(reason(stack.missing.as_deref()));
        }
        if locations.len() > MAX_LOCATIONS {
            locations.truncate(MAX_LOCATIONS - 1);
            locations.push(synthetic(ELIDED, "frames elided"));
        }
        Self { locations }
    }

    /// The locations, leaf first; at least one.
    pub fn locations(&self) -> &[Arc<Location>] {
        &self.locations
    }

    /// The list without scaffolding, for people, by Go's rule for texts. A list of scaffolding only stays as it is.
    #[must_use]
    pub fn shown(&self) -> Self {
        let shown = self.locations.iter().filter(|location| !location.hidden);
        let locations: Vec<_> = shown.cloned().collect();
        if locations.is_empty() {
            return self.clone();
        }
        Self { locations }
    }

    /// The key of a list: its return addresses as the texts print them, each after a space. Equal lists have equal
    /// keys.
    pub(crate) fn key(&self) -> String {
        let mut key = String::new();
        for location in &self.locations {
            let _ = write!(key, " {:#x}", location.return_address);
        }
        key
    }
}

/// The address of the call, by which pprof identifies a location. pprof subtracts 1 from every address of a text,
/// synthetic addresses included. All formats therefore do the same.
pub(crate) fn call_address(location: &Location) -> u64 {
    location.return_address.saturating_sub(1).max(1)
}

/// The location of a missing stack. Reasons that differ only after a colon ("foreign task: of thread 7") share a
/// location.
fn reason(text: Option<&str>) -> Arc<Location> {
    let text = text.unwrap_or_default();
    let class = text.split(':').next().unwrap_or(text).trim();
    let class = if class.is_empty() {
        "stack unavailable"
    } else {
        class
    };
    named(REASONS, class)
}

/// A location whose address is a hash of its name.
fn named(base: u64, function: &str) -> Arc<Location> {
    synthetic(base + u64::from(fnv1a(function)), function)
}

/// A hash that is the same in every process and on every architecture.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn synthetic(return_address: u64, function: &str) -> Arc<Location> {
    Arc::new(Location {
        return_address,
        function_offset: None,
        frames: vec![Frame {
            function: function.into(),
            file: "".into(),
            line: 0,
        }],
        hidden: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Branch, BranchKind};

    fn trunk(length: u64) -> Vec<Arc<Location>> {
        (1..=length)
            .map(|address| synthetic(address * 0x10, "f"))
            .collect()
    }

    fn names(stack: &Stack) -> Vec<String> {
        let list = AddressList::of(stack);
        list.locations()
            .iter()
            .map(|location| location.frames[0].function.to_string())
            .collect()
    }

    fn missing(reason: &str) -> Stack {
        Stack {
            missing: Some(reason.into()),
            ..Stack::default()
        }
    }

    #[test]
    fn a_plain_stack_is_its_trunk() {
        let stack = Stack {
            trunk: trunk(2),
            ..Stack::default()
        };
        assert_eq!(AddressList::of(&stack).key(), " 0x10 0x20");
    }

    #[test]
    fn branches_stand_below_the_trunk_in_their_order() {
        let branch = |kind, function| Branch {
            kind,
            locations: vec![synthetic(0x70, function)],
        };
        let stack = Stack {
            branches: vec![
                branch(BranchKind::Waiting, "a"),
                branch(BranchKind::AlsoRegistered, "b"),
            ],
            trunk: trunk(1),
            ..Stack::default()
        };
        let list = [
            "b",
            "also_registered.branch_2_of_2",
            "a",
            "select.branch_1_of_2",
            "f",
        ];
        assert_eq!(names(&stack), list);
    }

    #[test]
    fn scaffolding_is_left_out_unless_there_is_nothing_else() {
        let mut trunk = trunk(3);
        let hide = |location: &mut Arc<Location>| Arc::make_mut(location).hidden = true;
        hide(&mut trunk[1]);
        let list = |trunk: &[Arc<Location>]| {
            let trunk = trunk.to_vec();
            AddressList::of(&Stack {
                trunk,
                ..Stack::default()
            })
        };
        assert_eq!(list(&trunk).shown().key(), " 0x10 0x30");
        trunk.iter_mut().for_each(hide);
        assert_eq!(list(&trunk).shown().key(), " 0x10 0x20 0x30");
    }

    #[test]
    fn a_gap_is_marked() {
        let stack = Stack {
            trunk: trunk(2),
            elided: Some((1, 7)),
            ..Stack::default()
        };
        assert_eq!(names(&stack), ["f", "frames elided", "f"]);
    }

    #[test]
    fn reasons_of_one_class_share_an_address() {
        let key = |reason| AddressList::of(&missing(reason)).key();
        assert_eq!(
            names(&missing("foreign task: of thread 7")),
            ["foreign task"]
        );
        assert_eq!(
            key("foreign task: of thread 7"),
            key("foreign task: of thread 8")
        );
        assert_ne!(key("foreign task: of thread 7"), key("being polled"));
        assert_eq!(names(&Stack::default()), ["stack unavailable"]);
    }

    #[test]
    fn a_deep_stack_is_cut_at_the_root() {
        let stack = Stack {
            trunk: trunk(5000),
            ..Stack::default()
        };
        let names = names(&stack);
        assert_eq!(names.len(), MAX_LOCATIONS);
        assert_eq!(names.last().map(String::as_str), Some("frames elided"));
    }
}
