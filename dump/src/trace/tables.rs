//! Texts and stacks by number. Each generation contains the texts and stacks that its events refer to.
//!
//! Go's reader identifies a frame by its program counter alone, and merges the stacks of all generations by it. So each
//! distinct frame has a number as its program counter, the same in the whole file.

use super::generation::{Generation, Structure, put_number};
use crate::stack::Frame;
use crate::text::quoted::push_bare_or_quoted;
use std::collections::HashMap;
use std::sync::Arc;

/// The most bytes of a text. A longer text makes a file unreadable.
const MOST_BYTES: usize = 1024;
/// The most frames of a stack. A deeper stack makes a file unreadable.
const MOST_FRAMES: usize = 128;

/// A text of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TextNumber(u32);

/// A set of labels; the default one has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelsNumber(u32);

/// A key and its value.
pub(super) type Label = (Box<str>, Box<str>);

/// A stack of a trace; the default one has no frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StackNumber(u32);

/// The number of a function and a line: an index into [`Tables::frames`], from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FrameNumber(u32);

/// A frame, with its texts by number.
pub(super) struct TableFrame {
    pub(super) number: u64,
    pub(super) function: TextNumber,
    pub(super) file: TextNumber,
    pub(super) line: u32,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    texts: Numbers<Arc<str>>,
    frames: Numbers<(TextNumber, TextNumber, u32)>,
    stacks: Numbers<Box<[FrameNumber]>>,
    labels: Numbers<Box<[Label]>>,
    /// The messages of the current generation.
    messages: Vec<Box<str>>,
}

/// The text for a task that lost its labels. Go's validator refuses a label without text.
pub(super) const NO_LABELS: &str = "no labels";

/// The bit that marks a [`TextNumber`] as the index of a message.
const MESSAGE: u32 = 1 << 31;

impl Tables {
    /// The number of a text. A text that is too long keeps its end, because the end of a function's name tells more.
    pub(super) fn text(&mut self, text: &str) -> TextNumber {
        let mut from = text.len().saturating_sub(MOST_BYTES);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let text = &text[from..];
        let known = self.texts.number_of.get(text).copied();
        TextNumber(known.unwrap_or_else(|| self.texts.number(text.into())))
    }

    /// The number of a text of the current generation. A text that is too long keeps its begin.
    pub(super) fn message(&mut self, text: &str) -> TextNumber {
        let mut kept = text.len().min(MOST_BYTES);
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        let number = self.messages.len() as u32 | MESSAGE;
        self.messages.push(text[..kept].into());
        TextNumber(number)
    }

    /// The number of a stack, leaf first. A stack that is too deep loses its middle.
    pub(super) fn stack(&mut self, frames: &[Frame]) -> StackNumber {
        if frames.is_empty() {
            return StackNumber::default();
        }
        let (leaf, root) = match frames.len() {
            0..=MOST_FRAMES => (frames, &[][..]),
            depth => (
                &frames[..MOST_FRAMES / 2],
                &frames[depth - MOST_FRAMES / 2..],
            ),
        };
        let numbers = leaf.iter().chain(root).map(|frame| self.frame(frame));
        let numbers = numbers.collect();
        StackNumber(self.stacks.number(numbers))
    }

    fn frame(&mut self, frame: &Frame) -> FrameNumber {
        // Go's validator refuses frames without a file or a line.
        let or_unknown = |text: &Arc<str>| match text.is_empty() {
            true => "?".into(),
            false => Arc::clone(text),
        };
        let function = self.text(&or_unknown(&frame.function));
        let file = self.text(&or_unknown(&frame.file));
        let frame = (function, file, frame.line.max(1));
        FrameNumber(self.frames.number(frame))
    }

    /// The number of a set of labels.
    pub(super) fn labels(&mut self, labels: &[(&str, &str)]) -> LabelsNumber {
        if labels.is_empty() {
            return LabelsNumber::default();
        }
        let labels = labels.iter();
        let labels = labels.map(|(key, value)| ((*key).into(), (*value).into()));
        LabelsNumber(self.labels.number(labels.collect()))
    }

    /// The labels of a set.
    pub(super) fn labels_of(&self, labels: LabelsNumber) -> &[Label] {
        let index = (labels.0 as usize).checked_sub(1);
        let known = index.and_then(|index| self.labels.items.get(index));
        known.map_or(&[], |labels| labels)
    }

    /// Whether all labels of `part` are in `whole`.
    pub(super) fn has_all(&self, whole: LabelsNumber, part: LabelsNumber) -> bool {
        let whole = self.labels_of(whole);
        let mut part = self.labels_of(part).iter();
        part.all(|label| whole.contains(label))
    }

    /// The labels of a set as one text, `route: /order, tenant: acme`. A text that is too long loses its end.
    pub(super) fn text_of_labels(&mut self, labels: LabelsNumber) -> TextNumber {
        let mut text = Vec::new();
        for (index, (key, value)) in self.labels_of(labels).iter().enumerate() {
            if index > 0 {
                text.extend_from_slice(b", ");
            }
            push_bare_or_quoted(&mut text, key);
            text.extend_from_slice(b": ");
            push_bare_or_quoted(&mut text, value);
        }
        let text = match text.is_empty() {
            true => NO_LABELS.into(),
            false => String::from_utf8_lossy(&text),
        };
        let mut kept = text.len().min(MOST_BYTES);
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        self.text(&text[..kept])
    }

    /// The number of a text, which is marked as used in this generation.
    pub(super) fn used_text(&mut self, text: TextNumber) -> u64 {
        if text.0 & MESSAGE == 0 {
            return self.texts.used(text.0).into();
        }
        match (text.0 & !MESSAGE) < self.messages.len() as u32 {
            true => text.0.into(),
            false => 0,
        }
    }

    /// The number of a stack, which is marked as used in this generation.
    pub(super) fn used_stack(&mut self, stack: StackNumber) -> u64 {
        self.stacks.used(stack.0).into()
    }

    /// A text and its number, which is not 0.
    pub(super) fn text_of(&self, text: TextNumber) -> Option<(u64, &str)> {
        let known: &str = match text.0 & MESSAGE {
            0 => self.texts.items.get((text.0 as usize).checked_sub(1)?)?,
            _ => self.messages.get((text.0 & !MESSAGE) as usize)?,
        };
        Some((text.0.into(), known))
    }

    /// The frames of a stack, leaf first, and its number. `None` for the stack without frames.
    pub(super) fn stack_of(
        &self,
        stack: StackNumber,
    ) -> Option<(u64, impl Iterator<Item = TableFrame> + '_)> {
        let frames = self.stacks.items.get((stack.0 as usize).checked_sub(1)?)?;
        let frames = frames.iter().filter_map(|frame| {
            let index = (frame.0 as usize).checked_sub(1)?;
            let (function, file, line) = *self.frames.items.get(index)?;
            Some(TableFrame {
                number: frame.0.into(),
                function,
                file,
                line,
            })
        });
        Some((stack.0.into(), frames))
    }

    /// The function of the last frame, which is the name of a task.
    pub(super) fn root_of(&self, stack: StackNumber) -> Option<TextNumber> {
        let (_, frames) = self.stack_of(stack)?;
        frames.last().map(|frame| frame.function)
    }

    /// Removes the messages at the end of a generation.
    pub(super) fn forget_messages(&mut self) {
        self.messages.clear();
    }

    /// Writes all texts and stacks that were used since the last call.
    pub(super) fn write(&mut self, generation: &mut Generation) {
        let mut record = Vec::new();
        for number in self.stacks.take_used() {
            let frames = std::mem::take(&mut self.stacks.items[number as usize - 1]);
            record.clear();
            put_number(&mut record, number.into());
            put_number(&mut record, frames.len() as u64);
            for frame in &frames {
                let (function, file, line) = self.frames.items[frame.0 as usize - 1];
                put_number(&mut record, frame.0.into());
                put_number(&mut record, self.used_text(function));
                put_number(&mut record, self.used_text(file));
                put_number(&mut record, line.into());
            }
            generation.structure(Structure::Stack, &record);
            self.stacks.items[number as usize - 1] = frames;
        }
        for number in self.texts.take_used() {
            let text = &self.texts.items[number as usize - 1];
            put_text(generation, &mut record, number, text);
        }
        for (index, text) in (0..).zip(std::mem::take(&mut self.messages)) {
            put_text(generation, &mut record, index | MESSAGE, &text);
        }
    }
}

fn put_text(generation: &mut Generation, record: &mut Vec<u8>, number: u32, text: &str) {
    record.clear();
    put_number(record, number.into());
    put_number(record, text.len() as u64);
    record.extend_from_slice(text.as_bytes());
    generation.structure(Structure::Text, record);
}

/// Numbers of distinct items, from 1 on. Equal items have the same number.
#[derive(Debug)]
struct Numbers<T> {
    items: Vec<T>,
    number_of: HashMap<T, u32>,
    /// By index: whether the current generation refers to the item.
    is_used: Vec<bool>,
    used: Vec<u32>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Numbers {
            items: Vec::new(),
            number_of: HashMap::new(),
            is_used: Vec::new(),
            used: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Numbers<T> {
    fn number(&mut self, item: T) -> u32 {
        if let Some(known) = self.number_of.get(&item) {
            return *known;
        }
        self.items.push(item.clone());
        self.is_used.push(false);
        let number = self.items.len() as u32;
        self.number_of.insert(item, number);
        number
    }

    /// Marks a number as used, and returns it. Returns 0 for an unknown number.
    fn used(&mut self, number: u32) -> u32 {
        let Some(is_used) = (number as usize)
            .checked_sub(1)
            .and_then(|index| self.is_used.get_mut(index))
        else {
            return 0;
        };
        if !std::mem::replace(is_used, true) {
            self.used.push(number);
        }
        number
    }

    fn take_used(&mut self) -> Vec<u32> {
        for number in &self.used {
            self.is_used[*number as usize - 1] = false;
        }
        std::mem::take(&mut self.used)
    }
}
