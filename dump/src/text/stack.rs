//! A stack in the form of Go's tracebacks: two lines for each frame.
//!
//! Go's grammar has one stack for each goroutine. The branches of a `select!` or `join!` are therefore written one
//! after the other, each under a pseudo frame with the branch's number. The trunk follows the branches.

use std::sync::Arc;

use crate::profile::address_list::call_address;
use crate::stack::{Frame, Location, Stack};
use crate::text::digits::{push_decimal, push_hex};
use crate::text::single_line::{push_called_function, push_file};

/// Appends all frames of a stack. Appends nothing for a stack without locations.
pub(crate) fn push_stack(out: &mut Vec<u8>, stack: &Stack) {
    let shown = Shown::of(stack);
    for (index, branch) in stack.branches.iter().enumerate() {
        push_branch_name(out, index, stack, shown);
        for location in branch
            .locations
            .iter()
            .filter(|location| shown.shows(location))
        {
            push_location(out, location);
        }
    }
    let (gap, elided) = match stack.elided {
        Some((gap, elided)) if elided > 0 => (gap.min(stack.trunk.len()), elided),
        _ => (usize::MAX, 0),
    };
    for index in 0..=stack.trunk.len() {
        if index == gap {
            out.extend_from_slice(b"...");
            push_decimal(out, elided.into());
            out.extend_from_slice(b" frames elided...\n");
        }
        if let Some(location) = stack
            .trunk
            .get(index)
            .filter(|location| shown.shows(location))
        {
            push_location(out, location);
        }
    }
}

/// Appends a pseudo frame, without arguments and without an offset.
pub(crate) fn push_pseudo_frame(out: &mut Vec<u8>, name: &str, file: &str, line: u32) {
    push_called_function(out, name);
    out.extend_from_slice(b"(...)\n");
    push_position(out, file, line, None);
}

/// Appends the second line of a frame: `<TAB>FILE:LINE +0xOFFSET`.
pub(crate) fn push_position(out: &mut Vec<u8>, file: &str, line: u32, offset: Option<u64>) {
    out.push(b'\t');
    push_file(out, file);
    out.push(b':');
    push_decimal(out, line.into());
    if let Some(offset) = offset {
        out.extend_from_slice(b" +");
        push_hex(out, offset);
    }
    out.push(b'\n');
}

/// The locations of a stack that are written. By Go's rule scaffolding is left out unless all locations are
/// scaffolding.
#[derive(Clone, Copy)]
pub(crate) enum Shown {
    All,
    NotHidden,
}

impl Shown {
    pub(crate) fn of(stack: &Stack) -> Self {
        let mut locations = stack
            .branches
            .iter()
            .flat_map(|branch| &branch.locations)
            .chain(&stack.trunk);
        if locations.all(|location| location.hidden) {
            Self::All
        } else {
            Self::NotHidden
        }
    }

    pub(crate) fn shows(self, location: &Arc<Location>) -> bool {
        matches!(self, Self::All) || !location.hidden
    }
}

/// Appends the pseudo frame above a branch. The position is that of the frame where the branches meet.
fn push_branch_name(out: &mut Vec<u8>, index: usize, stack: &Stack, shown: Shown) {
    let name = stack.branch_name(index);
    let meeting = stack
        .trunk
        .iter()
        .find(|location| shown.shows(location))
        .and_then(|location| location.frames.first());
    let (file, line) = meeting.map_or(("", 0), |frame| (&*frame.file, frame.line));
    push_pseudo_frame(out, &name, file, line);
}

fn push_location(out: &mut Vec<u8>, location: &Location) {
    let Some((physical, inlined)) = location.frames.split_last() else {
        push_hex(out, call_address(location));
        out.extend_from_slice(b"(...)\n");
        push_position(out, "", 0, None);
        return;
    };
    for frame in inlined {
        push_frame(out, frame, None);
    }
    push_frame(out, physical, location.function_offset);
}

fn push_frame(out: &mut Vec<u8>, frame: &Frame, offset: Option<u64>) {
    push_called_function(out, &frame.function);
    out.extend_from_slice(b"(...)\n");
    push_position(out, &frame.file, frame.line, offset);
}
