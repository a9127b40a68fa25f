//! The program and its libraries, with their addresses in memory.

use crate::pid::target::Mapping;
use object::{Object, ObjectSegment};
use runtime_dump_decode::mapped::Mapped;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file with code, and an executable mapping of it.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) range: Range<u64>,
    /// The offset that was added to the file's addresses.
    pub(crate) bias: u64,
    pub(crate) file: Mapped,
}

/// The modules of a process. Unreadable files are left out, and stacks end in them.
pub(crate) fn modules(
    mappings: &[Mapping],
    program: &Path,
    exe: &Path,
    open: impl Fn(&Mapping) -> PathBuf,
) -> Vec<Module> {
    let executable = mappings.iter().filter(|mapping| mapping.executable);
    executable
        .filter(|mapping| !mapping.path.is_empty())
        .filter_map(|mapping| {
            let path = match Path::new(&mapping.path) == program {
                // The program is opened through `exe`, because the file at its path may have been replaced.
                true => exe.to_owned(),
                false => open(mapping),
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

/// The bias of a mapping, from its segment. A mapping begins at a page, so its begin may belong to the previous
/// segment.
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
