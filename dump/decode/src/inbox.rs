//! The ends of channels in messages that the receiver of an `mpsc` channel has not received: in structures, in enums, and
//! behind `Box`.
//!
//! A message is alive until its receiver takes it, so an end in it was certainly not moved. An actor that asks itself waits
//! for an answer whose sender is in its own inbox.
//!
//! The messages belong to the channel. So a channel is read once in a dump, by way of the first task that has its receiver:
//! ten thousand tasks may share one receiver.

use super::channels::EndPart;
use super::memory::Reader;
use super::model::{ChannelEnd, Unreceived};
use super::numbers::NumberSet;
use super::way::Way;
use crate::debug::index::Die;
use crate::debug::types::{Enum, Types};

/// The most messages that are read.
const MOST_MESSAGES: u64 = 128;

/// The most blocks of messages up to the first unread one: received ones, which are not yet freed.
const MOST_BLOCKS: u32 = 64;

/// The inboxes of a dump.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    /// The channels that were read.
    known: NumberSet<u64>,
    /// The ends in their messages.
    pub(crate) unreceived: Vec<Unreceived>,
}

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
    contents: Contents,
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

/// The ends in a message, or in a part of it.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    ends: Vec<EndPart>,
    enums: Vec<EnumPart>,
}

/// An enum in a message. Only the ends of its active variant are there.
#[derive(Debug)]
struct EnumPart {
    way: Way,
    /// The offset and size of the number of the active variant, in the enum.
    discriminant: Option<(u64, u64)>,
    variants: Vec<(Option<u128>, Contents)>,
}

impl Inbox {
    /// The inbox of a channel whose messages have these ends; `None` if there are none, or if a member is missing.
    pub(crate) fn of(
        types: &Types<'_, '_>,
        channel: Die,
        find: impl FnOnce(Die) -> Contents,
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
        let contents = find(message);
        (!contents.is_empty()).then_some(Self {
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
            contents,
        })
    }

    /// Reads the ends in the messages of the channel at `channel`, once in a dump.
    pub(crate) fn read(&self, channel: u64, reader: &Reader<'_>, inboxes: &mut Inboxes) {
        if inboxes.known.insert(channel) {
            // What cannot be read has no ends.
            let _ = self.try_read(channel, reader, &mut inboxes.unreceived);
        }
    }

    fn try_read(
        &self,
        channel: u64,
        reader: &Reader<'_>,
        unreceived: &mut Vec<Unreceived>,
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
        let mut add = |end: ChannelEnd| {
            unreceived.push(Unreceived {
                channel: end.channel,
                end: end.end,
                inbox: channel,
            });
        };
        for number in first..first.saturating_add(MOST_MESSAGES) {
            let slot = number % slots;
            if slot == 0 && number != first {
                block = word(block, next)?;
            }
            if word(block, ready)? >> slot & 1 == 0 {
                return None;
            }
            let message = block.wrapping_add(values.wrapping_add(slot.wrapping_mul(self.size)));
            self.contents.read(message, reader, &mut add);
        }
        Some(())
    }
}

impl Contents {
    /// An end that is always there.
    pub(crate) fn end(end: EndPart) -> Self {
        Self {
            ends: vec![end],
            enums: Vec::new(),
        }
    }

    /// The contents of an enum. `find` returns the contents of a variant.
    pub(crate) fn of_enum(of: &Enum, mut find: impl FnMut(Die) -> Self) -> Self {
        let variants = of.variants.iter().map(|variant| {
            let mut contents = Self::default();
            contents.add(find(variant.member.of), variant.member.offset);
            (variant.value, contents)
        });
        let variants: Vec<_> = variants.collect();
        if variants.iter().all(|(_, contents)| contents.is_empty()) {
            return Self::default();
        }
        Self {
            ends: Vec::new(),
            enums: vec![EnumPart {
                way: Way::here(0),
                discriminant: of.discriminant,
                variants,
            }],
        }
    }

    /// Adds the contents of a member at `offset`.
    pub(crate) fn add(&mut self, member: Self, offset: u64) {
        let ends = member.ends.iter().map(|end| end.at(offset));
        self.ends.extend(ends);
        self.enums.extend(member.enums.into_iter().map(|mut of| {
            of.way.shift(offset);
            of
        }));
    }

    /// These contents behind a pointer.
    pub(crate) fn behind_pointer(mut self) -> Self {
        self.ends = self.ends.iter().map(|end| end.behind(0)).collect();
        for of in &mut self.enums {
            of.way.push_pointer(0);
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.enums.is_empty()
    }

    fn read(&self, at: u64, reader: &Reader<'_>, add: &mut impl FnMut(ChannelEnd)) {
        let ends = self.ends.iter();
        ends.filter_map(|end| end.read(at, false, reader))
            .for_each(&mut *add);
        for of in &self.enums {
            if let Some(at) = of.way.address(at, reader)
                && let Some(contents) = of.active(at, reader)
            {
                contents.read(at, reader, add);
            }
        }
    }
}

impl EnumPart {
    /// The contents of the active variant of the enum at `at`.
    fn active(&self, at: u64, reader: &Reader<'_>) -> Option<&Contents> {
        let number = match self.discriminant {
            Some((offset, size)) => Some(reader.number(at.wrapping_add(offset), size)?),
            None => None,
        };
        let with = |wanted| self.variants.iter().find(|(value, _)| *value == wanted);
        let (_, contents) = with(number).or_else(|| with(None))?;
        Some(contents)
    }
}
