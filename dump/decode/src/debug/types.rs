//! Types, read at their first use and kept.

use super::index::{Die, Index, Position, Slice, file_number, reference, small};
use crate::numbers::NumberMap;
use gimli::{AttributeValue, DebuggingInformationEntry, EntriesTreeNode, Unit};
use std::cell::RefCell;
use std::rc::Rc;

/// The size of a pointer. The debug information does not contain it.
pub const POINTER: u64 = 8;

/// The most levels of structures that are searched for a member.
const MOST_DEPTH: usize = 12;

/// The most structures that are searched for a member.
const MOST_STRUCTURES: usize = 400;

/// A type.
#[derive(Debug)]
pub struct Type {
    /// The name with namespaces and generic arguments.
    pub path: String,
    /// The name without namespaces.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The contents.
    pub shape: Shape,
    /// The generic parameters.
    pub parameters: Vec<(String, Die)>,
}

/// The contents of a type.
#[derive(Debug)]
pub enum Shape {
    /// A number.
    Base,
    /// The type that the pointer points to; `None` if it is unknown.
    Pointer(Option<Die>),
    /// Members side by side.
    Structure(Vec<Member>),
    /// A type with several variants.
    Enum(Enum),
    /// Elements of one type.
    Array(Option<Die>),
    /// A type without members: a constant, a function, or an unreadable entry.
    Other,
}

/// A member of a structure.
#[derive(Clone, Debug)]
pub struct Member {
    /// The name.
    pub name: String,
    /// The offset from the start of the structure.
    pub offset: u64,
    /// The type.
    pub of: Die,
    /// The position of the declaration. For a state of an async body, the position of its await.
    pub position: Position,
}

/// A type with several variants, one of which is active.
#[derive(Debug)]
pub struct Enum {
    /// The offset and size of the number of the active variant. `None` if there is only one variant.
    pub discriminant: Option<(u64, u64)>,
    /// The variants.
    pub variants: Vec<Variant>,
}

/// A variant of an enum.
#[derive(Debug)]
pub struct Variant {
    /// The number of the variant. `None` for the variant of all other numbers.
    pub value: Option<u128>,
    /// The contents.
    pub member: Member,
}

impl Enum {
    /// The variant with this number, and its index.
    pub fn active(&self, value: Option<u128>) -> Option<(usize, &Variant)> {
        let exact = self
            .variants
            .iter()
            .position(|variant| variant.value.is_some() && variant.value == value);
        let at = exact.or_else(|| {
            self.variants
                .iter()
                .position(|variant| variant.value.is_none())
        })?;
        Some((at, &self.variants[at]))
    }
}

/// An offset and the type there.
type Place = (u64, Die);

/// The key of a search in a type: the type, and the address and length of a constant name.
type Wanted = (Die, *const u8, usize);

/// Types by their entries, read at their first use.
#[derive(Debug)]
pub struct Types<'i, 'd> {
    /// The index that the types are read from.
    pub index: &'i Index<'d>,
    known: RefCell<NumberMap<Die, Rc<Type>>>,
    found: RefCell<NumberMap<Wanted, Option<Place>>>,
}

impl<'i, 'd> Types<'i, 'd> {
    /// Starts without any type read.
    pub fn new(index: &'i Index<'d>) -> Self {
        Self {
            index,
            known: RefCell::default(),
            found: RefCell::default(),
        }
    }

    /// The type of an entry.
    pub fn get(&self, die: Die) -> Rc<Type> {
        if let Some(known) = self.known.borrow().get(&die) {
            return known.clone();
        }
        let read = self.read(die).unwrap_or_else(|| Type {
            path: String::new(),
            name: String::new(),
            size: 0,
            shape: Shape::Other,
            parameters: Vec::new(),
        });
        let read = Rc::new(read);
        self.known.borrow_mut().insert(die, read.clone());
        read
    }

    /// A member with this name and its offset. The search goes through the nested structures, the outermost first.
    pub fn find(&self, die: Die, name: &'static str) -> Option<(u64, Die)> {
        let key = (die, name.as_ptr(), name.len());
        if let Some(known) = self.found.borrow().get(&key) {
            return *known;
        }
        let found = self.search(die, |member, _| member.name == name);
        self.found.borrow_mut().insert(key, found);
        found
    }

    /// A type whose path begins with `prefix`, and its offset: the type itself or a nested member.
    pub fn find_type(&self, die: Die, prefix: &'static str) -> Option<(u64, Die)> {
        let key = (die, prefix.as_ptr(), prefix.len());
        if let Some(known) = self.found.borrow().get(&key) {
            return *known;
        }
        let found = match self.get(die).path.starts_with(prefix) {
            true => Some((0, die)),
            false => self.search(die, |_, of| of.path.starts_with(prefix)),
        };
        self.found.borrow_mut().insert(key, found);
        found
    }

    fn search(&self, die: Die, is_it: impl Fn(&Member, &Type) -> bool) -> Option<(u64, Die)> {
        let mut level = vec![(0_u64, die)];
        let mut looked = 0;
        for _ in 0..MOST_DEPTH {
            let mut next = Vec::new();
            for (offset, die) in level {
                looked += 1;
                if looked > MOST_STRUCTURES {
                    return None;
                }
                if let Shape::Structure(members) = &self.get(die).shape {
                    for member in members {
                        let at = offset.wrapping_add(member.offset);
                        if is_it(member, &self.get(member.of)) {
                            return Some((at, member.of));
                        }
                        next.push((at, member.of));
                    }
                }
            }
            level = next;
        }
        None
    }

    /// Removes structures around a single member that has a size. Returns the offset and type of the innermost one.
    pub fn peel(&self, die: Die) -> (u64, Die) {
        let (mut offset, mut die) = (0_u64, die);
        for _ in 0..MOST_DEPTH {
            let of = self.get(die);
            let Shape::Structure(members) = &of.shape else {
                break;
            };
            let mut sized = members.iter().filter(|member| self.get(member.of).size > 0);
            match (sized.next(), sized.next()) {
                (Some(only), None) => {
                    offset = offset.wrapping_add(only.offset);
                    die = only.of;
                }
                _ => break,
            }
        }
        (offset, die)
    }

    /// The type that a pointer type points to, for a reference, `Box`, `NonNull` or `Arc`.
    pub fn pointee(&self, die: Die) -> Option<Die> {
        let (_, inner) = self.peel(die);
        match self.get(inner).shape {
            Shape::Pointer(of) => of,
            _ => None,
        }
    }

    /// Reads a type that is not kept.
    pub(crate) fn read(&self, die: Die) -> Option<Type> {
        let (number, unit, offset) = self.index.unit_of(die)?;
        let start = die - u32::try_from(offset.0).ok()?;
        let mut tree = unit.entries_tree(Some(offset)).ok()?;
        let root = tree.root().ok()?;
        let entry = root.entry();
        let reader = Reader {
            index: self.index,
            unit,
            number,
            start,
        };
        let name = reader.text(entry, gimli::DW_AT_name);
        let size = entry
            .attr_value(gimli::DW_AT_byte_size)
            .and_then(|value| value.udata_value());
        let path = self.index.path(die).unwrap_or_else(|| name.clone());
        let of = reader.of(entry);
        let mut parameters = Vec::new();
        let (shape, size) = match entry.tag() {
            gimli::DW_TAG_base_type => (Shape::Base, size.unwrap_or(0)),
            gimli::DW_TAG_pointer_type => (Shape::Pointer(of), POINTER),
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => {
                (reader.structure(root, &mut parameters)?, size.unwrap_or(0))
            }
            gimli::DW_TAG_enumeration_type => (Shape::Base, size.unwrap_or(0)),
            gimli::DW_TAG_array_type => {
                let count = reader.count(root);
                let each = of.map_or(0, |of| self.get(of).size);
                (Shape::Array(of), each.saturating_mul(count))
            }
            gimli::DW_TAG_typedef => return self.read(of?),
            _ => (Shape::Other, size.unwrap_or(0)),
        };
        Some(Type {
            path,
            name,
            size,
            shape,
            parameters,
        })
    }
}

/// Reads the entries of one unit.
struct Reader<'u, 'd> {
    index: &'u Index<'d>,
    unit: &'u Unit<Slice<'d>>,
    number: u32,
    start: Die,
}

type Entry<'d> = DebuggingInformationEntry<Slice<'d>>;
type Node<'a, 't, 'd> = EntriesTreeNode<'a, 't, Slice<'d>>;

impl<'d> Reader<'_, 'd> {
    fn structure(
        &self,
        node: Node<'_, '_, 'd>,
        parameters: &mut Vec<(String, Die)>,
    ) -> Option<Shape> {
        let mut members = Vec::new();
        let mut variants = None;
        let mut children = node.children();
        while let Some(child) = children.next().ok()? {
            match child.entry().tag() {
                gimli::DW_TAG_member => members.extend(self.member(child.entry())),
                gimli::DW_TAG_template_type_parameter => {
                    let name = self.text(child.entry(), gimli::DW_AT_name);
                    parameters.extend(self.of(child.entry()).map(|of| (name, of)));
                }
                gimli::DW_TAG_variant_part => variants = self.variants(child),
                _ => {}
            }
        }
        Some(match variants {
            Some(variants) => Shape::Enum(variants),
            None => Shape::Structure(members),
        })
    }

    fn variants(&self, node: Node<'_, '_, 'd>) -> Option<Enum> {
        let discriminant = node.entry().attr_value(gimli::DW_AT_discr);
        let discriminant = discriminant.and_then(|value| reference(value, self.start));
        let mut place = None;
        let mut variants = Vec::new();
        let mut children = node.children();
        while let Some(child) = children.next().ok()? {
            let entry = child.entry();
            match entry.tag() {
                gimli::DW_TAG_member => {
                    let die = self
                        .start
                        .checked_add(small(Some(entry.offset().0 as u64)))?;
                    if Some(die) == discriminant {
                        let member = self.member(entry)?;
                        place = Some((member.offset, self.size(member.of)));
                    }
                }
                gimli::DW_TAG_variant => {
                    let value = entry
                        .attr_value(gimli::DW_AT_discr_value)
                        .and_then(constant);
                    let mut inner = child.children();
                    while let Some(member) = inner.next().ok()? {
                        if member.entry().tag() == gimli::DW_TAG_member {
                            let member = self.member(member.entry())?;
                            variants.push(Variant { value, member });
                            break;
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some((_, size)) = place {
            for variant in &mut variants {
                variant.value = variant.value.map(|value| masked(value, size));
            }
        }
        Some(Enum {
            discriminant: place,
            variants,
        })
    }

    /// The size of a base type.
    fn size(&self, die: Die) -> u64 {
        let entry = self
            .index
            .unit_of(die)
            .and_then(|(_, unit, offset)| unit.entry(offset).ok());
        let Some(entry) = entry else { return 0 };
        match entry.tag() {
            gimli::DW_TAG_pointer_type => POINTER,
            _ => entry
                .attr_value(gimli::DW_AT_byte_size)
                .and_then(|value| value.udata_value())
                .unwrap_or(0),
        }
    }

    fn member(&self, entry: &Entry<'d>) -> Option<Member> {
        let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
        Some(Member {
            name: self.text(entry, gimli::DW_AT_name),
            offset: number(gimli::DW_AT_data_member_location).unwrap_or(0),
            of: self.of(entry)?,
            position: Position::new(
                self.number,
                entry
                    .attr_value(gimli::DW_AT_decl_file)
                    .map_or(0, file_number),
                small(number(gimli::DW_AT_decl_line)),
            ),
        })
    }

    fn count(&self, node: Node<'_, '_, 'd>) -> u64 {
        let mut children = node.children();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
            if let Some(count) = number(gimli::DW_AT_count) {
                return count;
            }
            if let Some(upper) = number(gimli::DW_AT_upper_bound) {
                return upper.saturating_add(1);
            }
        }
        0
    }

    fn of(&self, entry: &Entry<'d>) -> Option<Die> {
        reference(entry.attr_value(gimli::DW_AT_type)?, self.start)
    }

    fn text(&self, entry: &Entry<'d>, name: gimli::DwAt) -> String {
        let text = entry.attr_value(name).and_then(|value| {
            let dwarf = self.index.dwarf_of(self.number);
            dwarf.attr_string(self.unit, value).ok()
        });
        text.map_or_else(String::new, |text| {
            String::from_utf8_lossy(text.slice()).into_owned()
        })
    }
}

/// The number of a variant, of up to 16 bytes, signed or unsigned.
fn constant(value: AttributeValue<Slice<'_>>) -> Option<u128> {
    match value {
        AttributeValue::Sdata(number) => Some(i128::from(number) as u128),
        AttributeValue::Data16(number) => Some(number),
        AttributeValue::Block(bytes) if bytes.len() <= 16 => {
            let mut number = [0; 16];
            number[..bytes.len()].copy_from_slice(bytes.slice());
            Some(u128::from_le_bytes(number))
        }
        other => other.udata_value().map(u128::from),
    }
}

fn masked(value: u128, size: u64) -> u128 {
    match size {
        0..=15 => value & ((1 << (8 * size)) - 1),
        _ => value,
    }
}
