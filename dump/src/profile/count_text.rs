//! Count profiles as Go prints them for `debug=1`: the counted address lists, which pprof's parser reads, and the
//! frames as comments, which the parser skips.

use std::io::{self, Write};

use crate::profile::address_list::{AddressList, call_address};
use crate::profile::count::CountProfile;
use crate::profile::labels::{self, Labels};
use crate::profile::stack_profile::Group;
use crate::stack::{Frame, Location};
use crate::text::digits::{push_decimal, push_hex};
use crate::text::single_line::{push_file, push_function, push_single_line};
use crate::text::tabwriter::push_aligned;

/// The most bytes of a function's name, and of a file's. pprof's parser gives up at a line of 64 KiB, comments
/// included. Two names, 2 * 2 KiB of tabs to align them and 60 bytes of numbers are 36 KiB.
const LONGEST_NAME: usize = 16 << 10;

impl CountProfile {
    /// Writes the text of `debug=1`.
    pub fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let mut text = Vec::new();
        text.extend_from_slice(self.name().as_bytes());
        text.extend_from_slice(b" profile: total ");
        push_decimal(&mut text, self.total());
        text.push(b'\n');
        push_remarks(&mut text, self.stacks().comments());
        for group in self.stacks().groups() {
            push_group(&mut text, group);
            out.write_all(&text)?;
            text.clear();
        }
        out.write_all(&text)?;
        out.flush()
    }
}

fn push_group(text: &mut Vec<u8>, group: &Group<Labels, u64>) {
    push_decimal(text, group.values);
    text.extend_from_slice(b" @");
    text.extend_from_slice(group.key.0.as_bytes());
    text.push(b'\n');
    labels::push_line(text, &group.key.1);
    push_frames(text, &group.list);
}

/// Appends a comment line for each remark.
pub(crate) fn push_remarks(text: &mut Vec<u8>, remarks: &[String]) {
    for remark in remarks {
        text.extend_from_slice(b"# ");
        push_single_line(text, cut(remark));
        text.push(b'\n');
    }
}

/// Appends the frames of a list, as comments, and an empty line.
pub(crate) fn push_frames(text: &mut Vec<u8>, list: &AddressList) {
    let locations = list.locations();
    let all_hidden = locations.iter().all(|location| location.hidden);
    let shown = locations
        .iter()
        .filter(|location| all_hidden || !location.hidden);
    let comments: Vec<Vec<String>> = shown.flat_map(|location| comments(location)).collect();
    push_aligned(text, &comments);
    text.push(b'\n');
}

/// The comment lines of one location, as cells.
fn comments(location: &Location) -> Vec<Vec<String>> {
    let address = cell(|out| push_hex(out, call_address(location)));
    if location.frames.is_empty() {
        return vec![vec!["#".to_owned(), address]];
    }
    let line = |frame: &Frame| {
        let function = cell(|out| {
            push_function(out, cut(&frame.function));
            if let Some(offset) = location.function_offset {
                out.push(b'+');
                push_hex(out, offset);
            }
        });
        let position = cell(|out| {
            push_file(out, cut(&frame.file));
            out.push(b':');
            push_decimal(out, frame.line.into());
        });
        vec!["#".to_owned(), address.clone(), function, position]
    };
    location.frames.iter().map(line).collect()
}

fn cell(push: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    push(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(LONGEST_NAME))
        .rev()
        .find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}
