//! Pieces of JSON.

use crate::printable::is_printable;
use crate::profile::address_list::call_address;
use crate::stack::{Frame, Location, Stack};
use crate::text::digits::push_decimal;
use crate::text::stack::Shown;

/// Appends a string in quotation marks.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut utf8 = [0; 4];
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            c if !is_printable(c) => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Appends a string, or `null`.
pub(crate) fn push_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a list of strings.
pub(crate) fn push_strings<'s>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'s str>) {
    out.push(b'[');
    for (index, text) in texts.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push_string(out, text);
    }
    out.push(b']');
}

/// Appends the key of a member that is not the first of its object.
pub(crate) fn push_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b", \"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\": ");
}

/// Appends the members `frames`, `frames_elided` and `no_stack`, which describe a stack as the texts do.
pub(crate) fn push_stack(out: &mut Vec<u8>, stack: Option<&Stack>) {
    let empty = Stack::default();
    let stack = stack.unwrap_or(&empty);
    out.extend_from_slice(b", \"frames\": [");
    let shown = Shown::of(stack);
    let mut frames = Frames {
        out,
        is_first: true,
    };
    for (index, branch) in stack.branches.iter().enumerate() {
        frames.push(&stack.branch_name(index), "", 0);
        frames.push_locations(
            branch
                .locations
                .iter()
                .filter(|location| shown.shows(location)),
        );
    }
    frames.push_locations(stack.trunk.iter().filter(|location| shown.shows(location)));
    out.push(b']');
    push_key(out, "frames_elided");
    push_decimal(out, stack.elided.map_or(0, |(_, elided)| elided).into());
    push_key(out, "no_stack");
    push_optional(out, stack.missing.as_deref());
}

struct Frames<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl Frames<'_> {
    fn push_locations<'l>(
        &mut self,
        locations: impl IntoIterator<Item = &'l std::sync::Arc<Location>>,
    ) {
        for location in locations {
            if location.frames.is_empty() {
                self.push(&format!("{:#x}", call_address(location)), "", 0);
            }
            for Frame {
                function,
                file,
                line,
            } in &location.frames
            {
                self.push(function, file, *line);
            }
        }
    }

    fn push(&mut self, function: &str, file: &str, line: u32) {
        let before: &[u8] = if self.is_first { b"" } else { b", " };
        self.is_first = false;
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(b"{\"function\": ");
        push_string(self.out, function);
        push_key(self.out, "file");
        push_string(self.out, file);
        push_key(self.out, "line");
        push_decimal(self.out, line.into());
        self.out.push(b'}');
    }
}
