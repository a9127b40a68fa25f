//! The program and its libraries, where they are loaded.

use crate::pid::target::Mapping;
use object::{Object, ObjectSegment};
use runtime_dump_decode::mapped::Mapped;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file with code, and a range of addresses at which it is.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) range: Range<u64>,
    /// What was added to the file's addresses.
    pub(crate) bias: u64,
    pub(crate) file: Mapped,
}

/// The modules of a process. A file that cannot be read is left out, and stacks end in it.
pub(crate) fn modules(
    mappings: &[Mapping],
    program: &Path,
    exe: &Path,
    open: impl Fn(&str) -> PathBuf,
) -> Vec<Module> {
    let executable = mappings.iter().filter(|mapping| mapping.executable);
    executable
        .filter(|mapping| !mapping.path.is_empty())
        .filter_map(|mapping| {
            let path = match Path::new(&mapping.path) == program {
                // Also where the file was replaced since.
                true => exe.to_owned(),
                false => open(&mapping.path),
            };
            let file = Mapped::open(&path).ok()?;
            let object = object::File::parse(&*file).ok()?;
            let bias = bias(&object, mapping)?;
            drop(object);
            Some(Module {
                range: mapping.start..mapping.end,
                bias,
                file,
            })
        })
        .collect()
}

/// From the segment that the mapping is of. A mapping begins at a page, and so may lie in the segment before, too.
fn bias(object: &object::File<'_>, mapping: &Mapping) -> Option<u64> {
    let begins = |offset: u64| offset & !0xfff == mapping.offset;
    let has = |(offset, size): (u64, u64)| {
        (offset..offset.saturating_add(size)).contains(&mapping.offset)
    };
    let segments = || object.segments();
    let segment = segments()
        .find(|segment| begins(segment.file_range().0))
        .or_else(|| segments().find(|segment| has(segment.file_range())))?;
    let behind = mapping.offset.wrapping_sub(segment.file_range().0);
    let address = segment.address().wrapping_add(behind);
    Some(mapping.start.wrapping_sub(address))
}
