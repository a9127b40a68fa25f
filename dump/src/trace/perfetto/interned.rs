//! Texts and stacks by number, as Perfetto has them: the first packet that uses one contains it.

use super::packet::{Callstack, EventName, Frame, InternedData, InternedString, Mapping};
use crate::trace::tables::{StackNumber, Tables, TextNumber};
use std::collections::HashSet;

/// The one mapping of all frames.
const MAPPING: u64 = 1;

/// The texts and stacks that were written so far, by kind and number.
#[derive(Debug, Default)]
pub(super) struct Interned {
    names: HashSet<u64>,
    functions: HashSet<u64>,
    paths: HashSet<u64>,
    frames: HashSet<u64>,
    stacks: HashSet<u64>,
    has_mapping: bool,
    /// The entries for the next packet.
    news: InternedData,
}

impl Interned {
    /// Takes the entries for the next packet.
    pub(super) fn take_news(&mut self) -> Option<InternedData> {
        let news = std::mem::take(&mut self.news);
        (news != InternedData::default()).then_some(news)
    }

    /// The number of an event's name.
    pub(super) fn name(&mut self, text: TextNumber, tables: &Tables) -> Option<u64> {
        let (number, text) = tables.text_of(text)?;
        if self.names.insert(number) {
            self.news.event_names.push(EventName {
                iid: Some(number),
                name: Some(text.to_owned()),
            });
        }
        Some(number)
    }

    /// The number of a stack; `None` for one without frames.
    pub(super) fn stack(&mut self, stack: StackNumber, tables: &Tables) -> Option<u64> {
        let (number, frames) = tables.stack_of(stack)?;
        if !self.stacks.insert(number) {
            return Some(number);
        }
        if !std::mem::replace(&mut self.has_mapping, true) {
            self.news.mapping_paths.push(InternedString {
                iid: Some(MAPPING),
                str: Some(b"program".to_vec()),
            });
            self.news.mappings.push(Mapping {
                iid: Some(MAPPING),
                path_string_ids: vec![MAPPING],
            });
        }
        let mut frame_ids = Vec::new();
        for frame in frames {
            frame_ids.push(frame.number);
            if !self.frames.insert(frame.number) {
                continue;
            }
            let function = string(&mut self.functions, frame.function, tables);
            self.news.function_names.extend(function);
            let path = string(&mut self.paths, frame.file, tables);
            self.news.source_paths.extend(path);
            let iid = |text| tables.text_of(text).map(|(number, _)| number);
            self.news.frames.push(Frame {
                iid: Some(frame.number),
                function_name_id: iid(frame.function),
                mapping_id: Some(MAPPING),
                rel_pc: Some(frame.number),
                source_path_iid: iid(frame.file),
                line_number: Some(frame.line),
            });
        }
        frame_ids.reverse();
        self.news.callstacks.push(Callstack {
            iid: Some(number),
            frame_ids,
        });
        Some(number)
    }
}

fn string(known: &mut HashSet<u64>, text: TextNumber, tables: &Tables) -> Option<InternedString> {
    let (number, text) = tables.text_of(text)?;
    known.insert(number).then(|| InternedString {
        iid: Some(number),
        str: Some(text.as_bytes().to_vec()),
    })
}
