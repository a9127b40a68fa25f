//! The process's executable mappings, for `profile.proto`.

use crate::symbol::resolver::Resolver;
use runtime_dump::stack::Mapping;

/// A mapping per executable segment, the main binary first.
pub(crate) fn mappings(resolver: &Resolver) -> Vec<Mapping> {
    let mut mappings = Vec::new();
    for (index, module) in resolver.modules().iter().enumerate() {
        let file = if index == 0 {
            std::env::current_exe().unwrap_or_else(|_| module.path.clone())
        } else {
            module.path.clone()
        };
        mappings.extend(module.executable.iter().map(|(range, offset)| Mapping {
            start: range.start,
            limit: range.end,
            offset: *offset,
            file: file.to_string_lossy().into_owned(),
            build_id: module.build_id.clone(),
        }));
    }
    mappings
}
