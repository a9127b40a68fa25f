//! The future of a frame of `block_on`, by its code address.

use super::index::{Die, Index, Slice, reference};
use crate::numbers::NumberMap;
use gimli::DebuggingInformationEntry;
use std::ops::Range;

/// The attributes of an entry that describe the code of a function.
#[derive(Default)]
struct Code<'d> {
    begin: Option<u64>,
    length: Option<u64>,
    end: Option<u64>,
    ranges: Option<gimli::RngListIter<Slice<'d>>>,
}

impl Code<'_> {
    fn all(self) -> gimli::Result<Vec<Range<u64>>> {
        let mut all = Vec::new();
        if let Some(begin) = self.begin {
            let length = self.length.map(|length| begin.saturating_add(length));
            all.extend(length.or(self.end).map(|end| begin..end));
        }
        if let Some(mut ranges) = self.ranges {
            while let Some(range) = ranges.next()? {
                all.push(range.begin..range.end);
            }
        }
        Ok(all)
    }
}

/// The most references from an inlined function to its definition and its declaration.
const MOST_ORIGINS: usize = 4;

impl<'d> Index<'d> {
    /// For each address of the file, the futures of the functions `block_on<F>` of tokio that contain the address.
    /// Inlined functions are included. The outermost function comes first.
    pub fn blocked_on(&self, addresses: &[u64]) -> NumberMap<u64, Vec<Die>> {
        let mut futures: NumberMap<u64, Vec<Die>> = addresses
            .iter()
            .map(|address| (*address, Vec::new()))
            .collect();
        for (number, start, unit) in self.all_units() {
            // A unit whose code ranges cannot be read has no futures.
            let code = self.code_of(number).unwrap_or_default();
            let is_here = |address: &&u64| code.iter().any(|range| range.contains(address));
            let inside: Vec<u64> = futures.keys().filter(is_here).copied().collect();
            if !inside.is_empty() {
                let _ = self.search_unit(number, start, unit, &inside, &mut futures);
            }
        }
        futures
    }

    fn search_unit(
        &self,
        number: u32,
        start: Die,
        unit: &gimli::Unit<Slice<'d>>,
        addresses: &[u64],
        futures: &mut NumberMap<u64, Vec<Die>>,
    ) -> gimli::Result<()> {
        let dwarf = self.dwarf_of(number);
        let mut raw = unit.entries_raw(None)?;
        while !raw.is_empty() {
            let die = start + raw.next_offset().0 as Die;
            let Some(abbreviation) = raw.read_abbreviation()? else {
                continue;
            };
            let tag = abbreviation.tag();
            if tag != gimli::DW_TAG_subprogram && tag != gimli::DW_TAG_inlined_subroutine {
                raw.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            let mut code = Code::default();
            for specification in abbreviation.attributes() {
                let attribute = raw.read_attribute(*specification)?;
                match attribute.name() {
                    gimli::DW_AT_low_pc => {
                        code.begin = dwarf.attr_address(unit, attribute.value())?;
                    }
                    gimli::DW_AT_high_pc => match attribute.udata_value() {
                        Some(length) => code.length = Some(length),
                        None => code.end = dwarf.attr_address(unit, attribute.value())?,
                    },
                    gimli::DW_AT_ranges => {
                        code.ranges = dwarf.attr_ranges(unit, attribute.value())?;
                    }
                    _ => {}
                }
            }
            for range in code.all()? {
                for address in addresses.iter().filter(|address| range.contains(address)) {
                    let Some(found) = futures.get_mut(address) else {
                        continue;
                    };
                    if let Some(future) = self.future_of(die)
                        && !found.contains(&future)
                    {
                        found.push(future);
                    }
                }
            }
        }
        Ok(())
    }

    /// The parameter F of a function `block_on<F>`. The entry, its definition or its declaration has it.
    fn future_of(&self, die: Die) -> Option<Die> {
        let mut die = die;
        for _ in 0..MOST_ORIGINS {
            let (number, unit, offset) = self.unit_of(die)?;
            let start = die - Die::try_from(offset.0).ok()?;
            let entry = unit.entry(offset).ok()?;
            if entry.has_attr(gimli::DW_AT_name) {
                return self.parameter(number, unit, start, &entry);
            }
            let origin = entry
                .attr_value(gimli::DW_AT_abstract_origin)
                .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
            die = reference(origin, start)?;
        }
        None
    }

    fn parameter(
        &self,
        number: u32,
        unit: &gimli::Unit<Slice<'d>>,
        start: Die,
        entry: &DebuggingInformationEntry<Slice<'d>>,
    ) -> Option<Die> {
        let text = |entry: &DebuggingInformationEntry<Slice<'d>>, name| {
            let text = self
                .dwarf_of(number)
                .attr_string(unit, entry.attr_value(name)?)
                .ok()?;
            Some(text.slice())
        };
        if !text(entry, gimli::DW_AT_name)?.starts_with(b"block_on<") {
            return None;
        }
        // `futures::executor::block_on` has no runtime.
        let symbol = text(entry, gimli::DW_AT_linkage_name)?;
        if !symbol.windows(5).any(|part| part == b"tokio") {
            return None;
        }
        let mut tree = unit.entries_tree(Some(entry.offset())).ok()?;
        let mut children = tree.root().ok()?.children();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            if entry.tag() == gimli::DW_TAG_template_type_parameter
                && text(entry, gimli::DW_AT_name)? == b"F"
            {
                return reference(entry.attr_value(gimli::DW_AT_type)?, start);
            }
        }
        None
    }
}
