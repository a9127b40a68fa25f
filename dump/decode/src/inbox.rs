//! The ends of channels in messages that the receiver of an `mpsc` channel has not received: in structures, in enums, and
//! behind `Box`.
//!
//! A message is alive until its receiver takes it, so an end in it was certainly not moved. An actor that asks itself waits
//! for an answer whose sender is in its own inbox.

use super::channels::{Behind, EndPart};
use super::memory::Reader;
use super::model::Detail;
use crate::debug::index::Die;
use crate::debug::types::{Shape, Types};
use std::rc::Rc;

/// The most messages that are read.
const MOST_MESSAGES: u64 = 128;

/// The most blocks of messages up to the first unread one: received ones, which are not yet freed.
const MOST_BLOCKS: u32 = 64;

/// The most ends of one type of messages.
const MOST_ENDS: usize = 16;

/// The offsets in a channel and in its blocks of messages.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// The number of the next message, in the channel.
    index: u64,
    /// The pointer to a block, in the channel.
    head: u64,
    block: Block,
    /// The size of a message.
    size: u64,
    parts: Vec<MessagePart>,
}

/// The offsets in a block.
#[derive(Debug)]
struct Block {
    /// The number of its first message.
    start: u64,
    next: u64,
    /// The bits of the slots with messages.
    ready: u64,
    values: u64,
    /// The number of slots.
    slots: u64,
}

/// An end in a message.
#[derive(Clone, Debug)]
pub(crate) struct MessagePart {
    end: EndPart,
    /// The variants that the enums around it have to be in.
    variants: Vec<VariantPart>,
}

/// A variant of an enum.
#[derive(Clone, Debug)]
struct VariantPart {
    /// The place and size of the variant's number.
    place: Behind,
    size: u64,
    /// The number; `None` for the variant of all numbers but `others`.
    number: Option<u128>,
    others: Rc<[u128]>,
}

impl VariantPart {
    fn is_active(&self, at: u64, reader: &Reader<'_>) -> bool {
        let number = self
            .place
            .address(at, reader)
            .and_then(|place| reader.number(place, self.size));
        number.is_some_and(|number| match self.number {
            Some(wanted) => number == wanted,
            None => !self.others.contains(&number),
        })
    }
}

impl Inbox {
    /// The inbox of a channel whose messages have these ends; `None` if there are none, or if a member is missing.
    pub(crate) fn of(
        types: &Types<'_, '_>,
        channel: Die,
        find: impl FnOnce(Die) -> Vec<MessagePart>,
    ) -> Option<Self> {
        let (received, of) = types.find(channel, "rx_fields")?;
        let (index, _) = types.find(of, "index")?;
        let (head, pointer) = types.find(of, "head")?;
        let block = types.pointee(pointer)?;
        let (_, message) = types.get(block).parameters.first().cloned()?;
        let size = types.get(message).size;
        let (start, _) = types.find(block, "start_index")?;
        let (next, _) = types.find(block, "next")?;
        let (ready, _) = types.find(block, "ready_slots")?;
        let (values, all) = types.find(block, "values")?;
        let slots = types.get(all).size.checked_div(size)?;
        // The flags above the bits of the slots have to fit in, too.
        (slots.is_power_of_two() && slots < 63).then_some(())?;
        let mut parts = find(message);
        parts.truncate(MOST_ENDS);
        (!parts.is_empty()).then_some(Self {
            index: received + index,
            head: received + head,
            block: Block {
                start,
                next,
                ready,
                values,
                slots,
            },
            size,
            parts,
        })
    }

    /// Reads the ends in the messages of the channel at `channel`, whose receiver is `receiver`.
    pub(crate) fn read(
        &self,
        channel: u64,
        receiver: &EndPart,
        reader: &Reader<'_>,
        details: &mut Vec<Detail>,
    ) {
        // What cannot be read has no ends.
        let _ = self.try_read(channel, receiver, reader, details);
    }

    fn try_read(
        &self,
        channel: u64,
        receiver: &EndPart,
        reader: &Reader<'_>,
        details: &mut Vec<Detail>,
    ) -> Option<()> {
        let Block {
            start,
            next,
            ready,
            values,
            slots,
        } = self.block;
        let word = |at: u64, offset: u64| reader.word(at.wrapping_add(offset));
        let first = word(channel, self.index)?;
        let mut block = word(channel, self.head)?;
        let mut blocks = 0;
        while word(block, start)? != first & !(slots - 1) {
            blocks += 1;
            block = word(block, next).filter(|_| blocks < MOST_BLOCKS)?;
        }
        for number in first..first.saturating_add(MOST_MESSAGES) {
            let slot = number % slots;
            if slot == 0 && number != first {
                block = word(block, next)?;
            }
            if word(block, ready)? >> slot & 1 == 0 {
                return None;
            }
            let message = block.wrapping_add(values + slot * self.size);
            for part in &self.parts {
                if part
                    .variants
                    .iter()
                    .all(|variant| variant.is_active(message, reader))
                    && let Some(end) = part.end.read_unreceived(message, receiver, reader)
                    && !details.contains(&end)
                {
                    details.push(end);
                }
            }
        }
        Some(())
    }
}

impl MessagePart {
    /// An end that is in each message.
    pub(crate) fn always(end: EndPart) -> Self {
        Self {
            end,
            variants: Vec::new(),
        }
    }

    /// This end in a type that contains its type at `offset`.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.end = self.end.at(offset);
        for variant in &mut self.variants {
            variant.place.shift(offset);
        }
        self
    }

    /// This end behind a pointer.
    pub(crate) fn behind_pointer(mut self) -> Self {
        self.end = self.end.behind(0);
        for variant in &mut self.variants {
            variant.place.push_pointer(0);
        }
        self
    }
}

/// Collects the ends of an enum, each with its variant. `find` returns the ends of a type.
pub(crate) fn in_variants(
    types: &Types<'_, '_>,
    die: Die,
    mut find: impl FnMut(Die) -> Vec<MessagePart>,
) -> Vec<MessagePart> {
    let of = types.get(die);
    let Shape::Enum(all) = &of.shape else {
        return Vec::new();
    };
    let others: Rc<[u128]> = all.variants.iter().filter_map(|one| one.value).collect();
    let mut found = Vec::new();
    for variant in &all.variants {
        for part in find(variant.member.of) {
            let mut part = part.at(variant.member.offset);
            if let Some((place, size)) = all.discriminant {
                part.variants.push(VariantPart {
                    place: Behind::here(place),
                    size,
                    number: variant.value,
                    others: others.clone(),
                });
            }
            found.push(part);
        }
    }
    found
}
