//! The index of debug information: the offsets of all entries that a dump needs, found in one pass.
//!
//! Most of 1.3 million entries are locals, members and inlined calls. Only their length is read, so 15 MB of
//! `.debug_info` take 0.1 s. Types are read at their first use (`types`).

use super::unusable::Unusable;
use crate::numbers::NumberMap;
use gimli::{
    Abbreviations, AttributeValue, Dwarf, EndianSlice, LittleEndian, Reader, Section, SectionId,
    Unit, UnitHeader,
};
use object::{Object, ObjectSection};
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A part of a section.
pub type Slice<'d> = EndianSlice<'d, LittleEndian>;

/// An entry, by its offset in `.debug_info`.
pub type Die = u32;

/// The scope of an entry directly below its unit.
const TOP: u32 = u32::MAX;

/// The sections of a file. Compressed sections are unpacked.
#[derive(Debug)]
pub struct Sections<'d> {
    own: gimli::DwarfSections<Cow<'d, [u8]>>,
    /// The package of split debug information.
    package: Option<gimli::DwarfPackageSections<Cow<'d, [u8]>>>,
    /// Whether a part is in a file that several programs have in common (`dwz -m`).
    has_common_part: bool,
}

impl<'d> Sections<'d> {
    /// Reads the sections of a program or debug file, and of the package of its units.
    pub fn read(
        (bytes, path): (&'d [u8], &Path),
        package: Option<(&'d [u8], &Path)>,
    ) -> Result<Self, Unusable> {
        let parse = |bytes, path: &Path| {
            object::File::parse(bytes)
                .map_err(|error| Unusable::Unreadable(path.into(), error.to_string()))
        };
        let object = parse(bytes, path)?;
        let own = gimli::DwarfSections::load(|id: SectionId| section(&object, id.name()))
            .map_err(|error: object::Error| Unusable::Unreadable(path.into(), error.to_string()))?;
        let package = match package {
            None => None,
            Some((bytes, path)) => {
                let object = parse(bytes, path)?;
                let unreadable = |error: LoadError| Unusable::Unreadable(path.into(), error.0);
                let load = |id: SectionId| {
                    let name = id.dwo_name().unwrap_or(id.name());
                    section(&object, name).map_err(LoadError::from)
                };
                Some(gimli::DwarfPackageSections::load(load).map_err(unreadable)?)
            }
        };
        let has_common_part = object.section_by_name(".gnu_debugaltlink").is_some();
        Ok(Self {
            own,
            package,
            has_common_part,
        })
    }

    /// The memory of the unpacked sections. The other sections stay in the mapped file.
    pub fn bytes(&self) -> usize {
        let mut bytes = 0;
        let empty = EndianSlice::new(&[], LittleEndian);
        let mut add = |section: &Cow<'d, [u8]>| {
            if let Cow::Owned(owned) = section {
                bytes += owned.len();
            }
            empty
        };
        self.own.borrow(&mut add);
        if let Some(package) = &self.package {
            // All sections are visited before they are parsed, so an error does not matter.
            let _ = package.borrow(&mut add, empty);
        }
        bytes
    }
}

/// The reason why a package cannot be read.
struct LoadError(String);

impl From<object::Error> for LoadError {
    fn from(error: object::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<gimli::Error> for LoadError {
    fn from(error: gimli::Error) -> Self {
        Self(error.to_string())
    }
}

fn section<'d>(object: &object::File<'d>, name: &str) -> object::Result<Cow<'d, [u8]>> {
    match object.section_by_name(name) {
        Some(section) => section.uncompressed_data(),
        None => Ok(Cow::Borrowed(&[][..])),
    }
}

/// The index.
#[derive(Debug)]
pub struct Index<'d> {
    dwarf: Dwarf<Slice<'d>>,
    /// The debug information in the package, by unit.
    packaged: Vec<Dwarf<Slice<'d>>>,
    /// The units, in the order of their offsets.
    units: Vec<IndexedUnit<'d>>,
    /// The memory of the units with their tables.
    unit_bytes: usize,
    /// Namespaces and types, in the order of their offsets.
    scopes: Vec<Scope<'d>>,
    /// Functions `tokio::runtime::task::raw::poll<T, S>` by address. Equal functions of several types may have been
    /// merged.
    pub polls: NumberMap<u64, Vec<Poll>>,
    /// Types `tokio::runtime::task::core::Cell<T, S>` by T and S.
    cells: NumberMap<(Die, Die), Die>,
    /// The types of vtables by address.
    pub vtables: NumberMap<u64, Die>,
    /// The thread-local variables of tokio's context.
    pub contexts: Vec<ThreadLocal>,
    /// Bodies of async functions and closures by their own name, without namespaces.
    functions: HashMap<&'d [u8], Vec<Function<'d>>>,
    /// The capacity of all lists in `functions`.
    function_capacity: usize,
}

/// A compilation unit.
#[derive(Debug)]
struct IndexedUnit<'d> {
    /// The offset in `.debug_info`. Units of a package have offsets after it, one unit after the other.
    start: Die,
    unit: Unit<Slice<'d>>,
    packaged: Option<Packaged<'d>>,
}

/// The origin of a unit of a package.
#[derive(Debug)]
struct Packaged<'d> {
    /// The index of the unit's debug information in the package.
    dwarf: usize,
    /// The skeleton in the program, which has the code ranges and the file names of the unit.
    skeleton: Unit<Slice<'d>>,
}

#[derive(Debug)]
struct Scope<'d> {
    die: Die,
    parent: u32,
    name: &'d [u8],
}

/// The types of a task's poll function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Poll {
    /// The type of the future.
    pub future: Die,
    /// The type of the scheduler.
    pub scheduler: Die,
}

/// A thread-local variable.
#[derive(Clone, Copy, Debug)]
pub struct ThreadLocal {
    /// The type.
    pub of: Die,
    /// The offset in the block of thread-local variables.
    pub offset: u64,
}

/// The body of an async function, or a closure.
#[derive(Clone, Copy, Debug)]
pub struct Function<'d> {
    scope: u32,
    /// The symbol.
    pub linkage_name: Option<&'d [u8]>,
    /// The position of the declaration.
    pub position: Position,
}

/// A line of a source file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The index of the unit whose table contains the file.
    unit: u32,
    file: u32,
    /// 0 where unknown.
    pub line: u32,
}

/// The kind of the enclosing entry.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Unit,
    Namespace,
    /// A poll function, whose generic parameters are needed.
    Poll(u64),
    Cell(Die),
    Other,
}

#[derive(Clone, Copy)]
struct Frame {
    scope: u32,
    around: Around,
}

/// The needed attributes of one entry.
#[derive(Default)]
struct Attributes<'d> {
    name: Option<&'d [u8]>,
    linkage_name: Option<&'d [u8]>,
    of: Option<Die>,
    low_pc: Option<u64>,
    location: Option<gimli::Expression<Slice<'d>>>,
    line: u32,
    file: u32,
}

impl Position {
    /// Constructs a position.
    pub fn new(unit: u32, file: u32, line: u32) -> Self {
        Self { unit, file, line }
    }
}

impl<'d> Index<'d> {
    /// Builds the index, if it and the unpacked sections take at most `most_bytes`.
    ///
    /// # Errors
    /// The reason why the debug information is unusable.
    pub fn build(
        sections: &'d Sections<'_>,
        path: &Path,
        most_bytes: usize,
    ) -> Result<Self, Unusable> {
        let index = Self::build_without_tokio(sections, path, most_bytes)?;
        match index.polls.is_empty() || index.cells.is_empty() {
            true => Err(Unusable::NoTokio(path.into())),
            false => Ok(index),
        }
    }

    /// Like `build`, also of a program that has no tasks of tokio.
    ///
    /// # Errors
    /// The reason why the debug information is unusable.
    pub fn build_without_tokio(
        sections: &'d Sections<'_>,
        path: &Path,
        most_bytes: usize,
    ) -> Result<Self, Unusable> {
        let unreadable = |error: gimli::Error| Unusable::Unreadable(path.into(), error.to_string());
        let slice = |section: &'d Cow<'_, [u8]>| EndianSlice::new(section, LittleEndian);
        let empty = EndianSlice::new(&[], LittleEndian);
        let package = sections.package.as_ref();
        let package = package.map(|package| package.borrow(slice, empty));
        let package = package.transpose().map_err(unreadable)?;
        let mut index = Self {
            dwarf: sections.own.borrow(slice),
            packaged: Vec::new(),
            units: Vec::new(),
            scopes: Vec::new(),
            polls: NumberMap::default(),
            cells: NumberMap::default(),
            vtables: NumberMap::default(),
            contexts: Vec::new(),
            functions: HashMap::new(),
            unit_bytes: 0,
            function_capacity: 0,
        };
        let section_bytes = sections.bytes();
        let mut tables = Tables::default();
        let too_large = || {
            let why = "its debug information is larger than 4 GiB".to_owned();
            Unusable::Unreadable(path.into(), why)
        };
        let (mut is_split, mut is_rust) = (false, false);
        let mut end = index.dwarf.debug_info.reader().len();
        let mut headers = index.dwarf.units();
        while let Some(header) = headers.next().map_err(unreadable)? {
            tables
                .share(&mut index.dwarf, &header)
                .map_err(unreadable)?;
            let mut unit = index.dwarf.unit(header).map_err(unreadable)?;
            index.unit_bytes += size_of::<IndexedUnit<'_>>() + lines_bytes(&unit);
            let mut start = unit.header.debug_info_offset().map(|offset| offset.0);
            let mut packaged = None;
            let of = match (&package, unit.dwo_id) {
                (Some(package), Some(id)) => {
                    package.find_cu(id, &index.dwarf).map_err(unreadable)?
                }
                _ => None,
            };
            if let Some(mut dwarf) = of {
                let Some(header) = dwarf.units().next().map_err(unreadable)? else {
                    continue;
                };
                tables.share(&mut dwarf, &header).map_err(unreadable)?;
                let mut whole = dwarf.unit(header).map_err(unreadable)?;
                index.unit_bytes += size_of::<Dwarf<Slice<'_>>>() + lines_bytes(&whole);
                whole.copy_relocated_attributes(&unit);
                start = Some(end);
                end += dwarf.debug_info.reader().len();
                packaged = Some(Packaged {
                    dwarf: index.packaged.len(),
                    skeleton: std::mem::replace(&mut unit, whole),
                });
                index.packaged.push(dwarf);
            } else {
                is_split |= matches!(unit.dwo_name(), Ok(Some(_)));
            }
            let start = start.and_then(|start| Die::try_from(start).ok());
            let start = start.ok_or_else(too_large)?;
            index.units.push(IndexedUnit {
                start,
                unit,
                packaged,
            });
            if section_bytes + tables.bytes + index.bytes() > most_bytes {
                return Err(Unusable::TooLarge(path.into()));
            }
        }
        index.unit_bytes += tables.bytes;
        index.units.sort_by_key(|unit| unit.start);
        for number in 0..index.units.len() {
            let unit = &index.units[number].unit;
            let root = unit.entry(unit.header.root_offset()).map_err(unreadable)?;
            let language = root.attr_value(gimli::DW_AT_language);
            let of_rust = language == Some(AttributeValue::Language(gimli::DW_LANG_Rust));
            is_rust |= of_rust;
            // `dwz` moves types that several units have to units without a language.
            if of_rust || root.tag() == gimli::DW_TAG_partial_unit {
                index.read_unit(number).map_err(unreadable)?;
                if section_bytes + index.bytes() > most_bytes {
                    return Err(Unusable::TooLarge(path.into()));
                }
            }
        }
        let has_tasks = !index.polls.is_empty() && !index.cells.is_empty();
        match () {
            () if has_tasks => Ok(index),
            () if sections.has_common_part => Err(Unusable::CommonPart(path.into())),
            () if is_split => Err(Unusable::Split(path.into())),
            // Every program has vtables. With types, the vtables are in the debug information.
            () if is_rust && index.vtables.is_empty() => Err(Unusable::NoTypes(path.into())),
            () => Ok(index),
        }
    }

    /// The approximate memory of the index, without the sections.
    pub fn bytes(&self) -> usize {
        fn map<K, V>(entries: usize) -> usize {
            entries * (size_of::<(K, V)>() + 1)
        }
        self.unit_bytes
            + self.scopes.capacity() * size_of::<Scope<'_>>()
            + map::<u64, Poll>(2 * self.polls.capacity())
            + map::<(Die, Die), Die>(self.cells.capacity())
            + map::<u64, Die>(self.vtables.capacity())
            + map::<&[u8], Vec<Function<'_>>>(self.functions.capacity())
            + self.function_capacity * size_of::<Function<'_>>()
    }

    fn read_unit(&mut self, number: usize) -> gimli::Result<()> {
        let dwarf = self.dwarf_of(number as u32);
        let IndexedUnit { start, unit, .. } = &self.units[number];
        let start = *start;
        let mut found = Found::default();
        let first_scope = self.scopes.len() as u32;
        let mut raw = unit.entries_raw(None)?;
        let mut stack: Vec<Frame> = Vec::new();
        while !raw.is_empty() {
            let depth = usize::try_from(raw.next_depth()).unwrap_or(0);
            let die = start + raw.next_offset().0 as Die;
            let Some(abbreviation) = raw.read_abbreviation()? else {
                continue;
            };
            stack.truncate(depth);
            let parent = stack.last().copied().unwrap_or(Frame {
                scope: TOP,
                around: Around::Unit,
            });
            let is_outside = matches!(parent.around, Around::Unit | Around::Namespace);
            let tag = abbreviation.tag();
            let wanted = match tag {
                gimli::DW_TAG_namespace
                | gimli::DW_TAG_structure_type
                | gimli::DW_TAG_union_type
                | gimli::DW_TAG_enumeration_type
                | gimli::DW_TAG_subprogram => true,
                gimli::DW_TAG_variable => is_outside,
                gimli::DW_TAG_template_type_parameter => {
                    matches!(parent.around, Around::Poll(_) | Around::Cell(_))
                }
                _ => false,
            };
            let mut frame = Frame {
                scope: parent.scope,
                around: if stack.is_empty() {
                    Around::Unit
                } else {
                    Around::Other
                },
            };
            if !wanted {
                raw.skip_attributes(abbreviation.attributes())?;
            } else {
                let mut attributes = Attributes::default();
                for specification in abbreviation.attributes() {
                    let attribute = raw.read_attribute(*specification)?;
                    attributes.take(attribute, dwarf, unit, start);
                }
                let name = attributes.name.unwrap_or_default();
                match tag {
                    gimli::DW_TAG_subprogram => {
                        let position = Position {
                            unit: number as u32,
                            file: attributes.file,
                            line: attributes.line,
                        };
                        if name.starts_with(b"{async_") || name.starts_with(b"{closure#") {
                            found.functions.push((
                                name,
                                Function {
                                    scope: parent.scope,
                                    linkage_name: attributes.linkage_name,
                                    position,
                                },
                            ));
                        } else if name.starts_with(b"poll<")
                            && let Some(low_pc) = attributes.low_pc
                            && found.ends_with(
                                &self.scopes,
                                parent.scope,
                                first_scope,
                                &[b"task", b"raw"],
                            )
                        {
                            found.polls.push((low_pc, Vec::new()));
                            frame.around = Around::Poll(low_pc);
                        }
                    }
                    gimli::DW_TAG_variable => {
                        if let Some(of) = attributes.of {
                            let location = attributes.location.map(|location| location.0.slice());
                            let address = attributes.low_pc.or_else(|| {
                                location.and_then(|location| static_address(location, dwarf, unit))
                            });
                            if name.ends_with(b"::{vtable}") {
                                if let Some(address) = address.filter(|address| *address != 0) {
                                    found.vtables.push((address, of));
                                }
                            } else if (name == b"__RUST_STD_INTERNAL_VAL" || name == b"VAL")
                                && let Some(offset) = location
                                    .and_then(|location| thread_local_offset(location, dwarf, unit))
                                && found.has(&self.scopes, parent.scope, first_scope, b"CONTEXT")
                            {
                                found.contexts.push(ThreadLocal { of, offset });
                            }
                        }
                    }
                    gimli::DW_TAG_template_type_parameter => {
                        if let Some(of) = attributes.of {
                            match parent.around {
                                Around::Poll(_) => {
                                    if let Some((_, parameters)) = found.polls.last_mut() {
                                        parameters.push((name, of));
                                    }
                                }
                                _ => {
                                    if let Some((_, parameters)) = found.cells.last_mut() {
                                        parameters.push((name, of));
                                    }
                                }
                            }
                        }
                    }
                    _ => {
                        if name.starts_with(b"Cell<")
                            && found.ends_with(
                                &self.scopes,
                                parent.scope,
                                first_scope,
                                &[b"task", b"core"],
                            )
                        {
                            found.cells.push((die, Vec::new()));
                            frame.around = Around::Cell(die);
                        } else if tag == gimli::DW_TAG_namespace {
                            frame.around = Around::Namespace;
                        }
                        frame.scope = first_scope + found.scopes.len() as u32;
                        found.scopes.push(Scope {
                            die,
                            parent: parent.scope,
                            name,
                        });
                    }
                }
            }
            if abbreviation.has_children() {
                stack.push(frame);
            }
        }
        self.add(found);
        Ok(())
    }

    fn add(&mut self, found: Found<'d>) {
        self.scopes.extend(found.scopes);
        for (address, parameters) in found.polls {
            if let Some((future, scheduler)) = pair(&parameters) {
                self.polls
                    .entry(address)
                    .or_default()
                    .push(Poll { future, scheduler });
            }
        }
        for (die, parameters) in found.cells {
            if let Some(pair) = pair(&parameters) {
                self.cells.insert(pair, die);
            }
        }
        self.vtables.extend(found.vtables);
        self.contexts.extend(found.contexts);
        for (name, function) in found.functions {
            let same = self.functions.entry(name).or_default();
            self.function_capacity -= same.capacity();
            same.push(function);
            self.function_capacity += same.capacity();
        }
    }

    /// The type of the memory of a task: its header, future and scheduler.
    pub fn cell(&self, poll: Poll) -> Option<Die> {
        self.cells.get(&(poll.future, poll.scheduler)).copied()
    }

    /// The unit that contains an entry: its index, the unit, and the entry's offset in it.
    pub fn unit_of(&self, die: Die) -> Option<(u32, &Unit<Slice<'d>>, gimli::UnitOffset)> {
        let behind = self.units.partition_point(|unit| unit.start <= die);
        let unit = self.units.get(behind.checked_sub(1)?)?;
        let offset = gimli::UnitOffset((die - unit.start) as usize);
        Some((behind as u32 - 1, &unit.unit, offset))
    }

    /// All units, with their numbers and their offsets.
    pub fn all_units(&self) -> impl Iterator<Item = (u32, Die, &Unit<Slice<'d>>)> {
        let units = self.units.iter().zip(0..);
        units.map(|(unit, number)| (number, unit.start, &unit.unit))
    }

    /// The debug information that a unit's attributes refer to.
    pub fn dwarf_of(&self, unit: u32) -> &Dwarf<Slice<'d>> {
        let packaged = self
            .units
            .get(unit as usize)
            .and_then(|unit| unit.packaged.as_ref());
        packaged.map_or(&self.dwarf, |packaged| &self.packaged[packaged.dwarf])
    }

    /// The code ranges of a unit.
    pub fn code_of(&self, unit: u32) -> gimli::Result<Vec<Range<u64>>> {
        let Some(of) = self.units.get(unit as usize) else {
            return Ok(Vec::new());
        };
        let skeleton = of.packaged.as_ref().map(|packaged| &packaged.skeleton);
        let mut ranges = self.dwarf.unit_ranges(skeleton.unwrap_or(&of.unit))?;
        let mut code = Vec::new();
        while let Some(range) = ranges.next()? {
            code.push(range.begin..range.end);
        }
        Ok(code)
    }

    /// The types and namespaces whose own name, without namespaces, is wanted.
    pub(crate) fn named(&self, is_wanted: fn(&[u8]) -> bool) -> impl Iterator<Item = Die> {
        let wanted = self
            .scopes
            .iter()
            .filter(move |scope| is_wanted(scope.name));
        wanted.map(|scope| scope.die)
    }

    /// The type that a vtable's type belongs to.
    pub(crate) fn implementor(&self, vtable: Die) -> Option<Die> {
        let (_, unit, offset) = self.unit_of(vtable)?;
        let start = vtable - u32::try_from(offset.0).ok()?;
        let entry = unit.entry(offset).ok()?;
        reference(entry.attr_value(gimli::DW_AT_containing_type)?, start)
    }

    /// The name of a namespace or type, with the names of its scopes.
    pub fn path(&self, die: Die) -> Option<String> {
        let at = self
            .scopes
            .binary_search_by_key(&die, |scope| scope.die)
            .ok()?;
        let mut names = Vec::new();
        let mut at = at as u32;
        while let Some(scope) = self.scopes.get(at as usize) {
            names.push(String::from_utf8_lossy(scope.name));
            at = scope.parent;
        }
        names.reverse();
        Some(names.join("::"))
    }

    /// The body of a coroutine or closure, by its type. `{async_fn_env#0}<T>` belongs to `{async_fn#0}<T>` in the same
    /// namespace.
    pub fn function(&self, die: Die) -> Option<Function<'d>> {
        let at = self
            .scopes
            .binary_search_by_key(&die, |scope| scope.die)
            .ok()?;
        let scope = &self.scopes[at];
        let name = String::from_utf8_lossy(scope.name).replacen("_env#", "#", 1);
        let candidates = self.functions.get(name.as_bytes())?;
        let is_same = |function: &&Function<'d>| self.same_path(function.scope, scope.parent);
        let mut same = candidates.iter().filter(is_same);
        let first = *same.next()?;
        // Several entries may match. Some have the name only, so an entry with a symbol is preferred.
        let named = candidates
            .iter()
            .filter(is_same)
            .find(|function| function.linkage_name.is_some());
        Some(named.copied().unwrap_or(first))
    }

    fn same_path(&self, mut left: u32, mut right: u32) -> bool {
        loop {
            if left == right {
                return true;
            }
            match (
                self.scopes.get(left as usize),
                self.scopes.get(right as usize),
            ) {
                (Some(one), Some(other)) if one.name == other.name => {
                    (left, right) = (one.parent, other.parent);
                }
                _ => return false,
            }
        }
    }

    /// The path of the source file; empty where unknown.
    pub fn file(&self, position: Position) -> String {
        self.try_file(position).unwrap_or_default()
    }

    fn try_file(&self, position: Position) -> Option<String> {
        let of = self.units.get(position.unit as usize)?;
        let skeleton = of.packaged.as_ref().map(|packaged| &packaged.skeleton);
        let unit = skeleton.unwrap_or(&of.unit);
        let header = unit.line_program.as_ref()?.header();
        let file = header.file(position.file.into())?;
        let text = |value| {
            let name = self.dwarf.attr_string(unit, value).ok()?;
            Some(String::from_utf8_lossy(name.slice()).into_owned())
        };
        let mut path = text(file.path_name())?;
        for directory in [
            file.directory(header).and_then(text),
            unit.comp_dir
                .map(|name| String::from_utf8_lossy(name.slice()).into_owned()),
        ] {
            if path.starts_with('/') {
                break;
            }
            if let Some(directory) = directory.filter(|directory| !directory.is_empty()) {
                path = format!("{}/{path}", directory.trim_end_matches('/'));
            }
        }
        Some(path)
    }

    /// The program's own crates: those whose sources are neither in cargo's directories nor Rust's own.
    pub fn own_crates(&self) -> HashSet<String> {
        let mut own: HashSet<String> = HashSet::new();
        let mut files: HashMap<(u32, u32), bool> = HashMap::new();
        for function in self.functions.values().flatten() {
            let key = (function.position.unit, function.position.file);
            let is_own = *files.entry(key).or_insert_with(|| {
                let file = self.file(function.position);
                let foreign = ["/registry/src/", "/git/checkouts/", "/rustc/", "/vendor/"];
                !file.is_empty() && !foreign.iter().any(|part| file.contains(part))
            });
            if is_own && let Some(root) = self.root(function.scope) {
                own.insert(String::from_utf8_lossy(root).into_owned());
            }
        }
        own
    }

    fn root(&self, mut at: u32) -> Option<&'d [u8]> {
        let mut name = None;
        while let Some(scope) = self.scopes.get(at as usize) {
            name = Some(scope.name);
            at = scope.parent;
        }
        name
    }
}

/// The tables of abbreviations. Each is parsed once: after `dwz`, a thousand units have one table.
#[derive(Default)]
struct Tables {
    /// By the part of the file that begins with the table.
    parsed: HashMap<Range<*const u8>, Arc<Abbreviations>>,
    /// The approximate memory.
    bytes: usize,
}

impl Tables {
    /// Lets `dwarf` use the parsed table of a unit.
    fn share<'d>(
        &mut self,
        dwarf: &mut Dwarf<Slice<'d>>,
        header: &UnitHeader<Slice<'d>>,
    ) -> gimli::Result<()> {
        let offset = header.debug_abbrev_offset();
        let mut rest = *dwarf.debug_abbrev.reader();
        rest.skip(offset.0)?;
        let table = match self.parsed.entry(rest.slice().as_ptr_range()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let table = dwarf.abbreviations(header)?;
                self.bytes += table_bytes(rest)?;
                new.insert(table).clone()
            }
        };
        let cache = &mut dwarf.abbreviations_cache;
        cache.set::<Slice<'_>>(offset, table);
        Ok(())
    }
}

/// The approximate memory of the table of abbreviations at the begin of `rest`.
fn table_bytes(mut rest: Slice<'_>) -> gimli::Result<usize> {
    let mut bytes = size_of::<Abbreviations>();
    while rest.read_uleb128()? != 0 {
        bytes += size_of::<gimli::Abbreviation>();
        let (_tag, _has_children) = (rest.read_uleb128()?, rest.read_u8()?);
        loop {
            let (name, form) = (rest.read_uleb128()?, rest.read_uleb128()?);
            if (name, form) == (0, 0) {
                break;
            }
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                rest.read_sleb128()?;
            }
            bytes += size_of::<gimli::AttributeSpecification>();
        }
    }
    Ok(bytes)
}

/// The approximate memory of the header of a unit's line table.
fn lines_bytes(unit: &Unit<Slice<'_>>) -> usize {
    let header = unit.line_program.as_ref().map(|lines| lines.header());
    header.map_or(0, |header| {
        size_of_val(header.file_names()) + size_of_val(header.include_directories())
    })
}

/// The names and types of generic parameters.
type Parameters<'d> = Vec<(&'d [u8], Die)>;

/// The relevant entries of one unit.
#[derive(Default)]
struct Found<'d> {
    scopes: Vec<Scope<'d>>,
    polls: Vec<(u64, Parameters<'d>)>,
    cells: Vec<(Die, Parameters<'d>)>,
    vtables: Vec<(u64, Die)>,
    contexts: Vec<ThreadLocal>,
    functions: Vec<(&'d [u8], Function<'d>)>,
}

impl<'d> Found<'d> {
    fn scope<'s>(&'s self, earlier: &'s [Scope<'d>], at: u32, first: u32) -> Option<&'s Scope<'d>> {
        match at.checked_sub(first) {
            Some(here) => self.scopes.get(here as usize),
            None => earlier.get(at as usize),
        }
    }

    fn ends_with(&self, earlier: &[Scope<'d>], mut at: u32, first: u32, names: &[&[u8]]) -> bool {
        names.iter().rev().all(|name| {
            let scope = self.scope(earlier, at, first);
            at = scope.map_or(TOP, |scope| scope.parent);
            scope.is_some_and(|scope| scope.name == *name)
        })
    }

    fn has(&self, earlier: &[Scope<'d>], mut at: u32, first: u32, name: &[u8]) -> bool {
        let mut found = false;
        let mut root: &[u8] = b"";
        while let Some(scope) = self.scope(earlier, at, first) {
            found |= scope.name == name;
            root = scope.name;
            at = scope.parent;
        }
        found && root == b"tokio"
    }
}

impl<'d> Attributes<'d> {
    fn take(
        &mut self,
        attribute: gimli::Attribute<Slice<'d>>,
        dwarf: &Dwarf<Slice<'d>>,
        unit: &Unit<Slice<'d>>,
        start: Die,
    ) {
        let text = |value| {
            let name = dwarf.attr_string(unit, value).ok()?;
            Some(name.slice())
        };
        match attribute.name() {
            gimli::DW_AT_name => self.name = text(attribute.value()),
            gimli::DW_AT_linkage_name => self.linkage_name = text(attribute.value()),
            gimli::DW_AT_type => self.of = reference(attribute.value(), start),
            gimli::DW_AT_low_pc => {
                self.low_pc = dwarf.attr_address(unit, attribute.value()).ok().flatten();
            }
            gimli::DW_AT_location => self.location = attribute.exprloc_value(),
            gimli::DW_AT_decl_line => {
                self.line = small(attribute.udata_value());
            }
            gimli::DW_AT_decl_file => self.file = file_number(attribute.value()),
            _ => {}
        }
    }
}

/// The number of a file, in any form of the attribute.
pub fn file_number(value: AttributeValue<Slice<'_>>) -> u32 {
    match value {
        AttributeValue::FileIndex(number) => small(Some(number)),
        other => small(other.udata_value()),
    }
}

/// A number as 32 bits; 0 if it is missing or too large.
pub fn small(number: Option<u64>) -> u32 {
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

/// The entry that an attribute refers to.
pub fn reference(value: AttributeValue<Slice<'_>>, unit_start: Die) -> Option<Die> {
    match value {
        AttributeValue::UnitRef(offset) => unit_start.checked_add(Die::try_from(offset.0).ok()?),
        AttributeValue::DebugInfoRef(offset) => Die::try_from(offset.0).ok(),
        _ => None,
    }
}

/// The types of future and scheduler, by the names of the parameters.
fn pair(parameters: &[(&[u8], Die)]) -> Option<(Die, Die)> {
    let named = |name: &[u8]| {
        let found = parameters.iter().find(|(known, _)| *known == name);
        found.map(|(_, die)| *die)
    };
    Some((named(b"T")?, named(b"S")?))
}

/// Evaluates `DW_OP_addr`, `DW_OP_addrx` or `DW_OP_GNU_addr_index`.
fn static_address(
    location: &[u8],
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
) -> Option<u64> {
    match location.split_first()? {
        (&0x03, address) => Some(u64::from_le_bytes(address.try_into().ok()?)),
        (&(0xa1 | 0xfb), index) => Some(indexed(index, dwarf, unit)?.0),
        _ => None,
    }
}

/// The number at an index in the table of addresses, and the bytes after the index.
fn indexed<'b>(
    bytes: &'b [u8],
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
) -> Option<(u64, &'b [u8])> {
    let mut rest = EndianSlice::new(bytes, LittleEndian);
    let index = rest.read_uleb128().ok()?;
    let index = gimli::DebugAddrIndex(usize::try_from(index).ok()?);
    let behind = &bytes[bytes.len() - rest.len()..];
    Some((dwarf.address(unit, index).ok()?, behind))
}

/// Evaluates an offset followed by `DW_OP_GNU_push_tls_address` or `DW_OP_form_tls_address`. The offset is
/// `DW_OP_const8u`, `DW_OP_constx` or `DW_OP_GNU_const_index`.
fn thread_local_offset(
    location: &[u8],
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
) -> Option<u64> {
    let (offset, end) = match location.split_first()? {
        (&0x0e, rest) => {
            let (offset, end) = rest.split_at_checked(8)?;
            (u64::from_le_bytes(offset.try_into().ok()?), end)
        }
        (&(0xa2 | 0xfc), index) => indexed(index, dwarf, unit)?,
        _ => return None,
    };
    matches!(end, [0xe0] | [0x9b]).then_some(offset)
}
