//! The ends of tokio's channels among the locals of an async body: owned, borrowed, shared, or in a structure. A `Notify` counts as
//! the sender of a channel, and a future that waits for it as the receiver.
//!
//! `collections` reads ends in collections. A local may still be listed after a move.

use super::Decoder;
use super::collections::{CollectionPart, Collections};
use super::elsewhere::Elsewhere;
use super::inbox::{Contents, Inbox, Inboxes};
use super::memory::Reader;
use super::model::{Channel, ChannelEnd, Detail, End};
use super::plan::Local;
use super::tokens::{NODE, TokenPart, Tokens};
use super::way::Way;
use crate::debug::index::Die;
use crate::debug::types::{Enum, Member, Shape, Types};
use std::num::NonZeroU64;
use std::rc::Rc;

/// The most ends of one type.
const MOST_ENDS: usize = 64;

/// The most collections in one type.
const MOST_COLLECTIONS: usize = 16;

/// The most cancellation tokens in one type.
const MOST_TOKENS: usize = 16;

/// The most pointers on the way to an end.
const MOST_POINTERS: usize = 5;

/// The most levels of a message's type. If the type has too many parts, a smaller number is tried next.
const MOST_DEPTHS: [u32; 3] = [12, 8, 5];

/// The most parts of a message's type. A type counts as often as it is a part of another one.
const MOST_PARTS: u32 = 50_000;

/// The functions of tokio's channels that wait for the other end.
const WAITING: [&str; 8] = [
    "send",
    "reserve",
    "reserve_inner",
    "reserve_many",
    "recv",
    "recv_many",
    "changed",
    "wait_for",
];

/// Pointers that share their value.
const SHARING: [&str; 2] = ["alloc::sync::Arc<", "alloc::rc::Rc<"];

/// Locks of tokio, with a value inside.
const LOCKS: [&str; 2] = ["tokio::sync::mutex::Mutex<", "tokio::sync::rwlock::RwLock<"];

/// What is inside of these is tokio's own, or may be gone.
const OPAQUE: [&str; 3] = ["alloc::sync::", "alloc::rc::", "tokio::sync::"];

pub(crate) const NOTIFY: &str = "tokio::sync::notify::Notify";

const ROWS: &[Row] = &[
    (
        "tokio::sync::mpsc::bounded::Sender<",
        Channel::Mpsc,
        End::Sender,
    ),
    (
        "tokio::sync::mpsc::bounded::Receiver<",
        Channel::Mpsc,
        End::Receiver,
    ),
    (
        "tokio::sync::mpsc::unbounded::UnboundedSender<",
        Channel::Mpsc,
        End::Sender,
    ),
    (
        "tokio::sync::mpsc::unbounded::UnboundedReceiver<",
        Channel::Mpsc,
        End::Receiver,
    ),
    (
        "tokio::sync::oneshot::Sender<",
        Channel::Oneshot,
        End::Sender,
    ),
    (
        "tokio::sync::oneshot::Receiver<",
        Channel::Oneshot,
        End::Receiver,
    ),
    ("tokio::sync::watch::Sender<", Channel::Watch, End::Sender),
    (
        "tokio::sync::watch::Receiver<",
        Channel::Watch,
        End::Receiver,
    ),
    (
        "tokio::sync::broadcast::Sender<",
        Channel::Broadcast,
        End::Sender,
    ),
    (
        "tokio::sync::broadcast::Receiver<",
        Channel::Broadcast,
        End::Receiver,
    ),
    (NOTIFY, Channel::Notify, End::Sender),
    (
        "tokio::sync::notify::Notified",
        Channel::Notify,
        End::Receiver,
    ),
    (
        "tokio::sync::notify::OwnedNotified",
        Channel::Notify,
        End::Receiver,
    ),
];

type Row = (&'static str, Channel, End);

fn row_of(path: &str) -> Option<&'static Row> {
    ROWS.iter().find(|(prefix, ..)| path.starts_with(prefix))
}

/// Whether the type is an end of a channel.
pub(crate) fn is_end(path: &str) -> bool {
    row_of(path).is_some()
}

/// The position of an end, and the offsets in its channel.
#[derive(Clone, Debug)]
pub(crate) struct EndPart {
    /// The way to the channel.
    way: Way,
    kind: Channel,
    end: End,
    /// Whether an async block has captured the end.
    is_captured: bool,
    /// Whether the program has ends of this type where the decoder does not look.
    is_elsewhere: bool,
    /// The offset of the semaphore in the channel, as the next two.
    semaphore: Option<u64>,
    room: Option<u64>,
    senders: Option<u64>,
    weak_senders: Option<u64>,
    /// The messages of a receiver, if they have ends.
    inbox: Option<Rc<Inbox>>,
}

impl EndPart {
    /// Reads the end, in a body or message at `at`. `waits` says whether the task waits at it.
    pub(crate) fn read(&self, at: u64, waits: bool, reader: &Reader<'_>) -> Option<ChannelEnd> {
        let channel = self.way.address(at, reader)?;
        let number = |offset: Option<u64>| {
            let offset = offset.filter(|_| waits)?;
            reader.word(channel.wrapping_add(offset))
        };
        Some(ChannelEnd {
            channel,
            kind: self.kind,
            end: self.end,
            // The rest is of the wait alone.
            semaphore: self
                .semaphore
                .filter(|_| waits)
                .and_then(|offset| NonZeroU64::new(channel.wrapping_add(offset))),
            room: number(self.room).and_then(NonZeroU64::new),
            senders: number(self.senders).map(|senders| u32::try_from(senders).unwrap_or(u32::MAX)),
            has_weak_senders: number(self.weak_senders).is_some_and(|senders| senders != 0),
            waits,
            is_captured: self.is_captured,
            is_elsewhere: self.is_elsewhere,
        })
    }

    /// This end at an offset, in a type that contains the end's type there.
    pub(crate) fn at(&self, offset: u64) -> Self {
        let mut part = self.clone();
        part.way.shift(offset);
        part
    }

    /// This end behind a pointer at an offset.
    pub(crate) fn behind(&self, pointer: u64) -> Self {
        let mut part = self.clone();
        part.way.push_pointer(pointer);
        part
    }
}

/// The ends in a value.
#[derive(Debug, Default)]
pub(crate) struct Found {
    ends: Vec<EndPart>,
    pub(crate) collections: Vec<CollectionPart>,
    tokens: Vec<TokenPart>,
}

impl Found {
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.collections.is_empty()
    }

    /// Adds the ends of a member at `offset`.
    fn add(&mut self, member: &Found, offset: u64) {
        let ends = member.ends.iter().map(|part| part.at(offset));
        self.ends.extend(ends);
        let collections = member.collections.iter().map(|part| part.at(offset));
        self.collections.extend(collections);
        let tokens = member.tokens.iter().map(|part| part.at(offset));
        self.tokens.extend(tokens);
    }

    /// The ends that a type has at `place`, seen from a pointer at `pointer` to a value of this type.
    fn behind(&self, pointer: u64, place: u64) -> Self {
        let ends = self.ends.iter();
        let ends = ends.filter(|part| part.way.pointers() < MOST_POINTERS);
        let collections = self.collections.iter();
        let collections = collections.filter(|part| part.pointers() < MOST_POINTERS);
        let tokens = self.tokens.iter();
        let tokens = tokens.filter(|part| part.way.pointers() < MOST_POINTERS);
        Self {
            ends: ends.map(|part| part.at(place).behind(pointer)).collect(),
            collections: collections
                .map(|part| part.at(place).behind(pointer))
                .collect(),
            tokens: tokens.map(|part| part.at(place).behind(pointer)).collect(),
        }
    }

    fn truncated(mut self) -> Self {
        self.ends.truncate(MOST_ENDS);
        self.collections.truncate(MOST_COLLECTIONS);
        self.tokens.truncate(MOST_TOKENS);
        self
    }

    /// Reads the ends in an element of a collection, at `at`, and the messages of receivers.
    pub(crate) fn read_element(
        &self,
        at: u64,
        reader: &Reader<'_>,
        mut add: impl FnMut(ChannelEnd),
        inboxes: &mut Inboxes,
        tokens: &mut Tokens,
    ) {
        for part in &self.ends {
            if let Some(end) = part.read(at, false, reader) {
                add(end);
                if let Some(inbox) = &part.inbox {
                    inbox.read(end.channel, reader, inboxes);
                }
            }
        }
        for part in &self.tokens {
            part.read(at, reader, tokens);
        }
    }
}

/// The ends of a dump that are in no variable.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) inboxes: Inboxes,
    pub(crate) collections: Collections,
    pub(crate) tokens: Tokens,
}

/// The ends in a state of an async body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    parts: Rc<Found>,
    /// Whether the body is a function of tokio that waits at these ends.
    waits: bool,
}

impl Ends {
    /// Whether nothing is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.parts.tokens.is_empty()
    }

    /// Reads the ends, the messages of receivers, and collections. An end that also a reference leads to is added once.
    pub(crate) fn read(
        &self,
        at: u64,
        reader: &Reader<'_>,
        details: &mut Vec<Detail>,
        beside: &mut Beside,
        is_certain: bool,
    ) {
        for part in &self.parts.ends {
            let Some(end) = part.read(at, self.waits, reader) else {
                continue;
            };
            let detail = Detail::End(end);
            if details.contains(&detail) {
                continue;
            }
            details.push(detail);
            if let Some(inbox) = part.inbox.as_ref().filter(|_| !self.waits) {
                inbox.read(end.channel, reader, &mut beside.inboxes);
            }
        }
        // A function of tokio that waits has no collection.
        if is_certain && !self.waits {
            for part in &self.parts.collections {
                part.read(at, reader, details, beside);
            }
            for part in &self.parts.tokens {
                part.read(at, reader, &mut beside.tokens);
            }
        }
    }
}

/// The end of a channel that is awaited as a future.
pub(crate) fn awaited(
    decoder: &mut Decoder<'_, '_, '_>,
    reader: &Reader<'_>,
    (at, die): (u64, Die),
) -> Option<Detail> {
    let parts = decoder.ends_in(die);
    parts.ends.first()?.read(at, true, reader).map(Detail::End)
}

impl Decoder<'_, '_, '_> {
    /// The ends among the variables of a state, which begin at `offset`, and in the awaited future. `function` is the name of the
    /// async body.
    pub(crate) fn ends(
        &mut self,
        offset: u64,
        locals: &[Local<'_>],
        awaitee: Option<&Member>,
        function: &str,
    ) -> Ends {
        let is_tokios = function
            .trim_start_matches('<')
            .starts_with("tokio::sync::");
        let waits = is_tokios && function.split("::").any(|part| WAITING.contains(&part));
        let locals = locals.iter().map(|local| (local.member, local.is_captured));
        let awaitee = awaitee.filter(|_| !is_tokios).map(|member| (member, false));
        Ends {
            parts: self.ends_among(offset, locals.chain(awaitee)),
            waits,
        }
    }

    /// The ends that an async body has before its first poll. It has moved none of them.
    pub(crate) fn first_ends(&mut self, offset: u64, captures: &[Member]) -> Ends {
        let captures = captures.iter().map(|member| (member, false));
        Ends {
            parts: self.ends_among(offset, captures),
            waits: false,
        }
    }

    /// The ends in members of a state that begins at `offset`. Each member comes with `is_captured`.
    fn ends_among<'m>(
        &mut self,
        offset: u64,
        members: impl Iterator<Item = (&'m Member, bool)>,
    ) -> Rc<Found> {
        let mut parts = Found::default();
        for (member, is_captured) in members {
            let before = parts.ends.len();
            parts.add(&self.ends_in(member.of), offset + member.offset);
            for part in &mut parts.ends[before..] {
                part.is_captured = is_captured;
            }
        }
        Rc::new(parts.truncated())
    }

    /// The ends in a future that is no async body.
    pub(crate) fn ends_of(&mut self, future: Die) -> Ends {
        Ends {
            parts: self.ends_in(future),
            waits: false,
        }
    }

    /// The ends in a type.
    pub(crate) fn ends_in(&mut self, die: Die) -> Rc<Found> {
        if let Some(known) = self.ends.get(&die) {
            return known.clone();
        }
        // A recursive type has no further ends.
        self.ends.insert(die, Rc::default());
        let found = Rc::new(self.find_ends(die).truncated());
        self.ends.insert(die, found.clone());
        found
    }

    fn find_ends(&mut self, die: Die) -> Found {
        let of = self.types.get(die);
        if let Some(end) = self.end(die, &of.path) {
            return Found {
                ends: vec![end],
                ..Found::default()
            };
        }
        if let Some(collection) = self.collection_of(die, &of) {
            return Found {
                collections: vec![collection],
                ..Found::default()
            };
        }
        if of.path == NODE {
            return self.ends_of_token(die);
        }
        let is_of = |paths: &[&str]| paths.iter().any(|path| of.path.starts_with(path));
        match &of.shape {
            Shape::Structure(_) if is_of(&SHARING) => self.shared_ends(die).unwrap_or_default(),
            Shape::Structure(_) if is_of(&OPAQUE) && !is_of(&LOCKS) => Found::default(),
            Shape::Structure(members) => {
                let mut all = Found::default();
                for member in members {
                    all.add(&self.ends_in(member.of), member.offset);
                }
                all
            }
            Shape::Pointer(Some(inner)) if super::plan::is_owner(&of.path) => {
                self.ends_in(*inner).behind(0, 0)
            }
            Shape::Enum(_) if super::plan::is_coroutine(&of) => Found::default(),
            Shape::Enum(variants) => self.ends_of_variants(variants),
            _ => Found::default(),
        }
    }

    /// The ends in the value of an `Arc` or `Rc`.
    fn shared_ends(&mut self, die: Die) -> Option<Found> {
        let types = self.types;
        let counted = types.pointee(die)?;
        let (place, value) = value_of(types, counted)?;
        let (pointer, _) = types.peel(die);
        Some(self.ends_in(value).behind(pointer, place))
    }

    /// The `Notify` of a cancellation token, and the token. The token's parent and children belong to other tasks.
    fn ends_of_token(&mut self, node: Die) -> Found {
        let mut found = Found::default();
        if let Some((offset, notify)) = self.notify_of_token(node) {
            found.add(&self.ends_in(notify), offset);
        }
        found.tokens.extend(self.token(node));
        found
    }

    /// The collections in the variants of an enum. Of an `Option` that is `None` if a pointer is null, also the ends and tokens
    /// behind that pointer.
    fn ends_of_variants(&mut self, of: &Enum) -> Found {
        let null = match (of.discriminant, &of.variants[..]) {
            (Some((place, _)), [_, _]) => Some(place),
            _ => None,
        };
        let is_there = |way: &Way| null.is_some_and(|null| way.begins_at(null));
        let mut all = Found::default();
        for variant in &of.variants {
            let found = self.ends_in(variant.member.of);
            let offset = variant.member.offset;
            let ends = found.ends.iter().map(|part| part.at(offset));
            all.ends.extend(ends.filter(|part| is_there(&part.way)));
            let tokens = found.tokens.iter().map(|part| part.at(offset));
            all.tokens.extend(tokens.filter(|part| is_there(&part.way)));
            let collections = found.collections.iter();
            let collections = collections.map(|part| part.in_variant(of, variant.value, offset));
            all.collections.extend(collections);
        }
        all
    }

    /// The end, if the type itself is an end.
    fn end(&mut self, die: Die, path: &str) -> Option<EndPart> {
        let (_, kind, end) = row_of(path)?;
        let types = self.types;
        if *kind == Channel::Notify {
            let way = match end {
                End::Sender => Way::here(0),
                End::Receiver => way_to_notify(types, die)?,
            };
            return Some(EndPart {
                way,
                kind: *kind,
                end: *end,
                is_captured: false,
                // No cycle goes through it.
                is_elsewhere: true,
                semaphore: None,
                room: None,
                senders: None,
                weak_senders: None,
                inbox: None,
            });
        }
        let place = types
            .find(die, "inner")
            .or_else(|| types.find(die, "shared"));
        let (mut offset, mut pointer) = place?;
        if let Shape::Enum(_) = &types.get(pointer).shape {
            let (inner, of) = self.payload(pointer)?;
            (offset, pointer) = (offset + inner, of);
        }
        let channel = types.pointee(pointer)?;
        let (peeled, _) = types.peel(pointer);
        let number = |name| types.find(channel, name).map(|(offset, _)| offset);
        let elsewhere = self.elsewhere.get_or_insert_with(|| Elsewhere::of(types));
        let mut way = Way::here(0);
        way.push_pointer(offset + peeled);
        Some(EndPart {
            way,
            kind: *kind,
            end: *end,
            is_captured: false,
            is_elsewhere: elsewhere.has(path),
            semaphore: types
                .find_type(channel, super::held::SEMAPHORE)
                .map(|(offset, _)| offset),
            room: number("bound"),
            senders: match kind {
                Channel::Mpsc => number("tx_count"),
                Channel::Watch => number("ref_count_tx"),
                Channel::Broadcast => number("num_tx"),
                Channel::Oneshot | Channel::Notify => None,
            },
            weak_senders: match kind {
                Channel::Mpsc => number("tx_weak_count"),
                Channel::Broadcast => number("num_weak_tx"),
                Channel::Watch | Channel::Oneshot | Channel::Notify => None,
            },
            inbox: self.inbox(channel, *kind, *end),
        })
    }

    /// The unreceived messages of a receiver. Ends in messages have none.
    fn inbox(&mut self, channel: Die, kind: Channel, end: End) -> Option<Rc<Inbox>> {
        if (kind, end) != (Channel::Mpsc, End::Receiver) || self.is_in_message {
            return None;
        }
        self.is_in_message = true;
        let inbox = Inbox::of(self.types, channel, |message| {
            let mut found = Contents::default();
            for depth in MOST_DEPTHS {
                let mut parts_left = MOST_PARTS;
                found = self.contents(message, depth, &mut parts_left);
                if parts_left > 0 {
                    break;
                }
            }
            found
        });
        self.is_in_message = false;
        inbox.map(Rc::new)
    }

    /// Whether a future of this type has a receiver that it polls by itself.
    pub(crate) fn has_receiver(&mut self, future: Die) -> bool {
        let ends = self.ends_in(future);
        let is_polled = |end: &EndPart| {
            let kinds = [Channel::Mpsc, Channel::Watch, Channel::Broadcast];
            end.end == End::Receiver && kinds.contains(&end.kind)
        };
        ends.ends.iter().any(is_polled)
    }

    /// The ends in a message, in structures, enums and boxes. A future in a message has none.
    fn contents(&mut self, die: Die, depth: u32, parts_left: &mut u32) -> Contents {
        let (Some(left), Some(others)) = (depth.checked_sub(1), parts_left.checked_sub(1)) else {
            return Contents::default();
        };
        *parts_left = others;
        let types = self.types;
        let of = types.get(die);
        if is_end(&of.path) && of.path != NOTIFY {
            let end = self.end(die, &of.path);
            return end.map(Contents::end).unwrap_or_default();
        }
        let is_opaque = OPAQUE.iter().any(|path| of.path.starts_with(path));
        match &of.shape {
            Shape::Structure(members) if !is_opaque => {
                let mut all = Contents::default();
                for member in members {
                    all.add(self.contents(member.of, left, parts_left), member.offset);
                }
                all
            }
            Shape::Enum(_) if super::plan::is_coroutine(&of) => Contents::default(),
            Shape::Enum(of) => {
                Contents::of_enum(of, |variant| self.contents(variant, left, parts_left))
            }
            Shape::Pointer(Some(inner)) if of.path.starts_with("alloc::boxed::Box<") => {
                self.contents(*inner, left, parts_left).behind_pointer()
            }
            _ => Contents::default(),
        }
    }
}

/// The value beside the counts of an `Arc` or `Rc`, and its offset.
fn value_of(types: &Types<'_, '_>, counted: Die) -> Option<(u64, Die)> {
    match &types.get(counted).name {
        name if name.starts_with("ArcInner<") => types.find(counted, "data"),
        name if name.starts_with("RcInner<") => types.find(counted, "value"),
        _ => None,
    }
}

/// The way from a future that waits for a `Notify` to that `Notify`.
fn way_to_notify(types: &Types<'_, '_>, die: Die) -> Option<Way> {
    let (offset, pointer) = types.find(die, "notify")?;
    let (peeled, _) = types.peel(pointer);
    let place = value_of(types, types.pointee(pointer)?).map_or(0, |(place, _)| place);
    let mut way = Way::here(place);
    way.push_pointer(offset + peeled);
    Some(way)
}
