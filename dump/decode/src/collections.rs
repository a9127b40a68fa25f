//! The ends of channels in collections: arrays, `Vec`, `VecDeque`, boxed slices, `HashMap`, `HashSet`, `BTreeMap`, the tables of other crates that
//! are made of hashbrown's, and the rest of a `Vec` that a loop takes apart.
//!
//! A collection is read once in a dump, as thousands of tasks may share one. So a task has the collection, and the collection has the
//! ends. What is in a collection may be moved to another one, also of a thread. So these ends are named, and make no cycle.

use super::Decoder;
use super::channels::{Beside, Found};
use super::memory::Reader;
use super::model::{Channel, ChannelEnd, Collected, CollectionId, Detail};
use super::numbers::NumberSet;
use super::way::Way;
use crate::debug::index::Die;
use crate::debug::types::{Enum, Shape, Type, Types};
use std::rc::Rc;

/// The most elements of one collection that are read. Those of the collections in it count, too.
const MOST_ELEMENTS: u64 = 1_000;

/// The most elements of all collections of a dump that are read.
const MOST_IN_ALL: u64 = 200_000;

/// The most places of a table that are looked at for elements.
const MOST_PLACES: u64 = 1 << 16;

/// The most places of all tables of a dump that are looked at.
const MOST_PLACES_IN_ALL: u64 = 1 << 23;

/// The most levels of a tree. One of six levels has millions of elements.
const MOST_LEVELS: u64 = 16;

/// The most nodes of a tree.
const MOST_NODES: u32 = 1_000;

/// The most children of a node of a tree, one more than its elements.
const MOST_CHILDREN: u64 = 12;

/// No address is higher.
const HIGHEST: u64 = 1 << 48;

/// The collections of a dump.
#[derive(Debug, Default)]
pub(crate) struct Collections {
    known: NumberSet<CollectionId>,
    pub(crate) collected: Vec<Collected>,
    /// The number of elements that were read.
    read: u64,
    /// The number of places of tables that were looked at.
    places: u64,
    /// The number of elements beyond the bounds.
    pub(crate) left_out: u64,
}

/// A collection with ends, in a value.
#[derive(Clone, Debug)]
pub(crate) struct CollectionPart {
    way: Way,
    /// The enums that the collection is in. It is there in one variant of each only.
    guards: Vec<Guard>,
    layout: Layout,
    /// The size of an element.
    size: u64,
    /// The ends of an element.
    inside: Rc<Found>,
}

/// An enum, and the variant that has the collection.
#[derive(Clone, Debug)]
struct Guard {
    way: Way,
    /// The offset and size of the number of the active variant.
    discriminant: (u64, u64),
    /// The number of the variant; `None` for the variant of all numbers but `others`.
    wanted: Option<u128>,
    others: Rc<[u128]>,
}

/// The offsets in a collection.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// An array, in place.
    Inline { length: u64 },
    /// Elements in a row.
    Row {
        pointer: u64,
        length: u64,
        /// The capacity; `None` if all of it is used.
        capacity: Option<u64>,
    },
    /// Elements in a row, up to an address.
    Range { pointer: u64, end: u64 },
    /// Elements in a row that begins anew at its end.
    Ring {
        pointer: u64,
        length: u64,
        capacity: u64,
        head: u64,
    },
    /// Elements below an address, each with a byte above that address.
    Table { bytes: u64, mask: u64, items: u64 },
    /// Elements in the nodes of a tree.
    Tree {
        length: u64,
        height: u64,
        root: u64,
        /// The offsets in a node.
        count: u64,
        values: u64,
        children: u64,
    },
}

impl CollectionPart {
    /// Reads the collection, in a value at `at`. Its ends are added once in a dump.
    pub(crate) fn read(
        &self,
        at: u64,
        reader: &Reader<'_>,
        details: &mut Vec<Detail>,
        beside: &mut Beside,
    ) {
        let Some((at, id)) = self.find(at, reader) else {
            return;
        };
        if !beside.collections.known.contains(&id) {
            let all = &mut beside.collections;
            let Some(elements) = self.elements(at, id, reader, &mut all.places) else {
                if all.places >= MOST_PLACES_IN_ALL && all.known.insert(id) {
                    all.left_out = all.left_out.saturating_add(id.length);
                }
                return;
            };
            beside.collections.known.insert(id);
            let mut left = MOST_ELEMENTS;
            self.read_elements(&elements, (id.length, id), reader, &mut left, beside);
        }
        let detail = Detail::Collection(id);
        if !details.contains(&detail) {
            details.push(detail);
        }
    }

    /// Reads the ends of the elements of a collection of this length, as those of the collection `id`. `left` is the number of elements
    /// that may be read.
    fn read_elements(
        &self,
        elements: &[u64],
        (length, id): (u64, CollectionId),
        reader: &Reader<'_>,
        left: &mut u64,
        beside: &mut Beside,
    ) {
        let mut read = 0;
        for element in elements {
            let Beside {
                inboxes,
                collections,
                tokens,
            } = &mut *beside;
            if *left == 0 || collections.read == MOST_IN_ALL {
                break;
            }
            read += 1;
            *left -= 1;
            collections.read += 1;
            let add = |end: ChannelEnd| {
                collections.collected.push(Collected {
                    channel: end.channel,
                    end: end.end,
                    is_notify: end.kind == Channel::Notify,
                    collection: id,
                });
            };
            self.inside
                .read_element(*element, reader, add, inboxes, tokens);
            for nested in &self.inside.collections {
                let places = &mut beside.collections.places;
                if let Some((at, inner)) = nested.find(*element, reader)
                    && let Some(elements) = nested.elements(at, inner, reader, places)
                {
                    let of = (inner.length, id);
                    nested.read_elements(&elements, of, reader, left, beside);
                }
            }
        }
        let left_out = &mut beside.collections.left_out;
        *left_out = left_out.saturating_add(length.saturating_sub(read));
    }

    /// The address of the collection, and what it is known by. `None` for an empty one, and if no collection can be there.
    fn find(&self, at: u64, reader: &Reader<'_>) -> Option<(u64, CollectionId)> {
        let is_there = |guard: &Guard| guard.is_there(at, reader);
        self.guards.iter().all(is_there).then_some(())?;
        let at = self.way.address(at, reader)?;
        let word = |offset: u64| reader.word(at.wrapping_add(offset));
        let (first, length, capacity) = match self.layout {
            Layout::Inline { length } => (at, length, length),
            Layout::Row {
                pointer,
                length,
                capacity,
            } => {
                let length = word(length)?;
                let capacity = capacity.map_or(Some(length), word)?;
                (word(pointer)?, length, capacity)
            }
            Layout::Range { pointer, end } => {
                let first = word(pointer)?;
                let length = word(end)?.checked_sub(first)?.checked_div(self.size)?;
                (first, length, length)
            }
            Layout::Ring {
                pointer,
                length,
                capacity,
                ..
            } => (word(pointer)?, word(length)?, word(capacity)?),
            Layout::Table { bytes, mask, items } => {
                let places = word(mask)?.checked_add(1)?;
                places.is_power_of_two().then_some(())?;
                (word(bytes)?, word(items)?, places)
            }
            Layout::Tree { length, root, .. } => {
                let length = word(length)?;
                (word(root)?, length, length)
            }
        };
        let bytes = capacity.checked_mul(self.size.max(1))?;
        let is_sound = 0 < length && length <= capacity && bytes < HIGHEST;
        is_sound.then_some((at, CollectionId { at: first, length }))
    }

    /// The addresses of the elements, at most as many as are read. `looked_at` counts places of tables.
    fn elements(
        &self,
        at: u64,
        id: CollectionId,
        reader: &Reader<'_>,
        looked_at: &mut u64,
    ) -> Option<Vec<u64>> {
        let word = |offset: u64| reader.word(at.wrapping_add(offset));
        let CollectionId { at: first, length } = id;
        let wanted = length.min(MOST_ELEMENTS);
        let elements: Vec<u64> = match self.layout {
            Layout::Inline { .. } | Layout::Row { .. } | Layout::Range { .. } => {
                (0..wanted).map(|number| self.nth(first, number)).collect()
            }
            Layout::Ring { capacity, head, .. } => {
                let (capacity, head) = (word(capacity)?, word(head)?);
                (head < capacity).then_some(())?;
                let numbers = (0..wanted).map(|number| (head + number) % capacity);
                numbers.map(|number| self.nth(first, number)).collect()
            }
            Layout::Table { mask, .. } => {
                let places = word(mask)?.checked_add(1)?.min(MOST_PLACES);
                self.in_table(first, (places, wanted), reader, looked_at)
            }
            Layout::Tree { height, .. } => {
                let height = word(height).filter(|height| *height < MOST_LEVELS)?;
                self.in_tree(first, height, wanted, reader)
            }
        };
        // The memory of a collection that is not there is seldom readable.
        let first = elements.first()?;
        reader.number(*first, 1).map(|_| elements)
    }

    fn nth(&self, first: u64, number: u64) -> u64 {
        first.wrapping_add(number.wrapping_mul(self.size))
    }

    fn in_table(
        &self,
        bytes: u64,
        (places, wanted): (u64, u64),
        reader: &Reader<'_>,
        looked_at: &mut u64,
    ) -> Vec<u64> {
        let mut elements = Vec::new();
        for group in (0..places).step_by(8) {
            if *looked_at >= MOST_PLACES_IN_ALL {
                break;
            }
            *looked_at += 8;
            let Some(word) = reader.word(bytes.wrapping_add(group)) else {
                break;
            };
            for (number, byte) in (group..places).zip(word.to_le_bytes()) {
                if elements.len() as u64 == wanted {
                    return elements;
                }
                // The highest bit means that the place is free.
                if byte < 0x80 {
                    let below = (number + 1).wrapping_mul(self.size);
                    elements.push(bytes.wrapping_sub(below));
                }
            }
        }
        elements
    }

    fn in_tree(&self, root: u64, height: u64, wanted: u64, reader: &Reader<'_>) -> Vec<u64> {
        let mut elements = Vec::new();
        let Layout::Tree {
            count,
            values,
            children,
            ..
        } = self.layout
        else {
            return elements;
        };
        let mut nodes_left = MOST_NODES;
        let mut next = vec![(root, height)];
        while let Some((node, height)) = next.pop() {
            let count = reader.number(node.wrapping_add(count), 2);
            let Some(count) = count.and_then(|count| u64::try_from(count).ok()) else {
                break;
            };
            if nodes_left == 0 || count >= MOST_CHILDREN {
                break;
            }
            nodes_left -= 1;
            for number in 0..count {
                if elements.len() as u64 == wanted {
                    return elements;
                }
                elements.push(self.nth(node.wrapping_add(values), number));
            }
            if let Some(below) = height.checked_sub(1) {
                let child = |number| reader.word(node.wrapping_add(children + 8 * number));
                next.extend((0..=count).filter_map(child).map(|child| (child, below)));
            }
        }
        elements
    }

    /// This collection at an offset, in a type that contains the collection's type there.
    pub(crate) fn at(&self, offset: u64) -> Self {
        let mut part = self.clone();
        part.way.shift(offset);
        for guard in &mut part.guards {
            guard.way.shift(offset);
        }
        part
    }

    /// This collection behind a pointer at an offset.
    pub(crate) fn behind(&self, pointer: u64) -> Self {
        let mut part = self.clone();
        part.way.push_pointer(pointer);
        for guard in &mut part.guards {
            guard.way.push_pointer(pointer);
        }
        part
    }

    /// This collection in a variant of an enum.
    pub(crate) fn in_variant(&self, of: &Enum, wanted: Option<u128>, offset: u64) -> Self {
        let mut part = self.at(offset);
        if let Some(discriminant) = of.discriminant {
            part.guards.push(Guard {
                way: Way::here(0),
                discriminant,
                wanted,
                others: of.variants.iter().filter_map(|other| other.value).collect(),
            });
        }
        part
    }

    pub(crate) fn pointers(&self) -> usize {
        self.way.pointers()
    }
}

impl Guard {
    fn is_there(&self, at: u64, reader: &Reader<'_>) -> bool {
        let (offset, size) = self.discriminant;
        let at = self.way.address(at, reader);
        let number = at.and_then(|at| reader.number(at.wrapping_add(offset), size));
        number.is_some_and(|number| match self.wanted {
            Some(wanted) => number == wanted,
            None => !self.others.contains(&number),
        })
    }
}

impl Decoder<'_, '_, '_> {
    /// The collection, if the type is one and its elements have ends.
    pub(crate) fn collection_of(&mut self, die: Die, of: &Type) -> Option<CollectionPart> {
        let (layout, each) = self.layout_of_collection(die, of)?;
        let inside = self.ends_in(each);
        (!inside.is_empty()).then_some(CollectionPart {
            way: Way::here(0),
            guards: Vec::new(),
            layout,
            size: self.types.get(each).size,
            inside,
        })
    }

    fn layout_of_collection(&self, die: Die, of: &Type) -> Option<(Layout, Die)> {
        let types = self.types;
        if super::plan::is_owner(&of.path)
            && let Some((pointer, length, each)) = self.slice(die)
        {
            let layout = Layout::Row {
                pointer,
                length,
                capacity: None,
            };
            return Some((layout, each));
        }
        if let Shape::Array(Some(each)) = of.shape {
            // Of an array that is partly unset nothing is known.
            let each_of = types.get(each);
            let is_set = !each_of.path.starts_with("core::mem::maybe_uninit::");
            let length = of.size.checked_div(each_of.size)?;
            return is_set.then_some((Layout::Inline { length }, each));
        }
        let is = |prefix: &str| of.path.starts_with(prefix);
        let parameter = |wanted: &str| {
            let mut parameters = of.parameters.iter();
            Some(parameters.find(|(name, _)| name == wanted)?.1)
        };
        if is("alloc::vec::Vec<") {
            let layout = Layout::Row {
                pointer: place(types, die, "ptr")?,
                length: place(types, die, "len")?,
                capacity: Some(place(types, die, "cap")?),
            };
            return Some((layout, parameter("T")?));
        }
        if is("alloc::vec::into_iter::IntoIter<") {
            let layout = Layout::Range {
                pointer: place(types, die, "ptr")?,
                end: place(types, die, "end")?,
            };
            return Some((layout, parameter("T")?));
        }
        if is("alloc::collections::vec_deque::VecDeque<") {
            let layout = Layout::Ring {
                pointer: place(types, die, "ptr")?,
                length: place(types, die, "len")?,
                capacity: place(types, die, "cap")?,
                head: place(types, die, "head")?,
            };
            return Some((layout, parameter("T")?));
        }
        if is("hashbrown::raw::RawTable<") || is("hashbrown::raw::inner::RawTable<") {
            let layout = Layout::Table {
                bytes: place(types, die, "ctrl")?,
                mask: place(types, die, "bucket_mask")?,
                items: place(types, die, "items")?,
            };
            return Some((layout, parameter("T")?));
        }
        if is("alloc::collections::btree::map::BTreeMap<") {
            let (option, of_option) = types.find(die, "root")?;
            let (root, node) = self.payload(of_option)?;
            let (height, _) = types.find(node, "height")?;
            let (pointer, of_pointer) = types.find(node, "node")?;
            let leaf = types.pointee(of_pointer)?;
            let (peeled, _) = types.peel(of_pointer);
            let layout = Layout::Tree {
                length: place(types, die, "length")?,
                height: option + root + height,
                root: option + root + pointer + peeled,
                count: place(types, leaf, "len")?,
                values: place(types, leaf, "vals")?,
                // An inner node is a leaf, and then the pointers to its children.
                children: types.get(leaf).size,
            };
            return Some((layout, parameter("V")?));
        }
        None
    }
}

/// The offset of a number or pointer.
fn place(types: &Types<'_, '_>, die: Die, name: &'static str) -> Option<u64> {
    let (offset, of) = types.find(die, name)?;
    let (peeled, _) = types.peel(of);
    Some(offset + peeled)
}
