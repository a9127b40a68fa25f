//! Which future a frame of `block_on` is for, by the code address.

use super::index::{Die, Index, Slice, reference};
use gimli::DebuggingInformationEntry;

/// From what is inlined to what is defined to what is declared.
const MOST_ORIGINS: usize = 4;

impl<'d> Index<'d> {
    /// The futures of tokio's `block_on<F>` and the like that this address of the file is in, inlined ones included, the
    /// outermost first.
    pub(crate) fn blocked_on(&self, address: u64) -> Vec<Die> {
        let mut futures = Vec::new();
        for (start, unit) in self.units_at(address) {
            // What cannot be read has no future.
            let _ = self.search_unit(start, unit, address, &mut futures);
        }
        futures
    }

    fn units_at(&self, address: u64) -> impl Iterator<Item = (Die, &gimli::Unit<Slice<'d>>)> {
        self.all_units().filter(move |(_, unit)| {
            let Ok(mut ranges) = self.dwarf.unit_ranges(unit) else {
                return false;
            };
            while let Ok(Some(range)) = ranges.next() {
                if (range.begin..range.end).contains(&address) {
                    return true;
                }
            }
            false
        })
    }

    fn search_unit(
        &self,
        start: Die,
        unit: &gimli::Unit<Slice<'d>>,
        address: u64,
        futures: &mut Vec<Die>,
    ) -> gimli::Result<()> {
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let tag = entry.tag();
            if tag != gimli::DW_TAG_subprogram && tag != gimli::DW_TAG_inlined_subroutine {
                continue;
            }
            let mut ranges = self.dwarf.die_ranges(unit, entry)?;
            let mut is_here = false;
            while let Some(range) = ranges.next()? {
                is_here |= (range.begin..range.end).contains(&address);
            }
            if is_here {
                let die = start + entry.offset().0 as Die;
                if let Some(future) = self.future_of(die)
                    && !futures.contains(&future)
                {
                    futures.push(future);
                }
            }
        }
        Ok(())
    }

    /// The parameter F of a function `block_on<F>`: of what was inlined, of what is defined, or of what is declared.
    fn future_of(&self, die: Die) -> Option<Die> {
        let mut die = die;
        for _ in 0..MOST_ORIGINS {
            let (_, unit, offset) = self.unit_of(die)?;
            let start = die - Die::try_from(offset.0).ok()?;
            let entry = unit.entry(offset).ok()?;
            if entry.has_attr(gimli::DW_AT_name) {
                return self.parameter(unit, start, &entry);
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
        unit: &gimli::Unit<Slice<'d>>,
        start: Die,
        entry: &DebuggingInformationEntry<Slice<'d>>,
    ) -> Option<Die> {
        let text = |entry: &DebuggingInformationEntry<Slice<'d>>, name| {
            let text = self.dwarf.attr_string(unit, entry.attr_value(name)?).ok()?;
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
