//! The functions of a module by its symbols only.

use object::read::ReadCache;
use object::{Object, ObjectSymbol, SymbolKind};
use std::fs::File;
use std::path::Path;

/// (address, name), ordered by address.
#[derive(Debug, Default)]
pub(super) struct SymbolTable(Vec<(u64, Box<str>)>);

impl SymbolTable {
    /// Reads only the symbols of a file.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let cache = ReadCache::new(File::open(path).ok()?);
        let file = object::File::parse(&cache).ok()?;
        let functions = file.symbols().filter(|symbol| {
            symbol.is_definition() && symbol.kind() == SymbolKind::Text && symbol.address() != 0
        });
        let named = functions.filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?)));
        let mut entries: Vec<_> = named
            .map(|(address, name)| (address, name.into()))
            .collect();
        // Of several names for one address, the choice is deterministic, and prefers a name without the underscores of
        // an alias.
        entries.sort_unstable_by(|(a, one): &(u64, Box<str>), (b, other)| {
            let rank = |name: &str| (name.starts_with('_'), name.len());
            (a, rank(one), one).cmp(&(b, rank(other), other))
        });
        entries.dedup_by_key(|(address, _)| *address);
        (!entries.is_empty()).then_some(SymbolTable(entries))
    }

    /// (name, begin) of the function that contains an address.
    pub(super) fn find(&self, address: u64) -> Option<(&str, u64)> {
        let next = self.0.partition_point(|(begin, _)| *begin <= address);
        let (begin, name) = self.0.get(next.checked_sub(1)?)?;
        Some((name, *begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_the_last_function_that_begins_before_it() {
        let entries = [(16, "open"), (32, "read")];
        let table = SymbolTable(entries.map(|(at, name)| (at, name.into())).to_vec());
        assert_eq!(table.find(15), None);
        assert_eq!(table.find(16), Some(("open", 16)));
        assert_eq!(table.find(31), Some(("open", 16)));
        assert_eq!(table.find(99), Some(("read", 32)));
    }

    #[test]
    fn this_programs_own_functions_are_read() {
        let table = SymbolTable::read(Path::new("/proc/self/exe")).unwrap();
        let named =
            |(_, name): &(u64, Box<str>)| name.contains("this_programs_own_functions_are_read");
        assert!(table.0.iter().any(named));
        assert!(table.0.is_sorted());
    }
}
