//! A program's file, and the file with its debug information: the program itself, or a file of the same build beside
//! it.

use crate::pid::refusal::Refusal;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Architecture, BinaryFormat, Endianness, Object, ObjectSection};
use runtime_dump_decode::mapped::Mapped;
use std::path::{Path, PathBuf};

/// The directory of distributions for debug files.
const SYSTEM: &str = "usr/lib/debug";

/// The file of a program that this command can read.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) file: Mapped,
    /// The address of the program headers, by the file.
    pub(crate) headers: u64,
    /// The size and alignment of a thread's variables.
    thread_locals: (u64, u64),
    pub(crate) build_id: String,
}

impl Program {
    /// Reads and checks the headers.
    pub(crate) fn open(path: &Path, shown: &Path) -> Result<Self, Refusal> {
        let file = Mapped::open(path)
            .map_err(|error| Refusal::Unreadable(shown.into(), error.to_string()))?;
        let bytes: &[u8] = &file;
        if bytes.starts_with(&elf::ELFMAG) && bytes.get(4) == Some(&elf::ELFCLASS32) {
            return Err(Refusal::Foreign("the program is a 32-bit one"));
        }
        let object = parse(bytes, shown)?;
        if object.format() != BinaryFormat::Elf {
            return Err(Refusal::Foreign("the program is no ELF file"));
        }
        if object.architecture() != Architecture::X86_64 {
            return Err(Refusal::Foreign("the program is of another processor"));
        }
        let (mut headers, mut first, mut thread_locals) = (None, None, (0, 1));
        let unreadable =
            |error: object::Error| Refusal::Unreadable(shown.into(), error.to_string());
        let header = elf::FileHeader64::<Endianness>::parse(bytes).map_err(unreadable)?;
        let endian = header.endian().map_err(unreadable)?;
        for segment in header.program_headers(endian, bytes).map_err(unreadable)? {
            match segment.p_type(endian) {
                elf::PT_PHDR => headers = Some(segment.p_vaddr(endian)),
                elf::PT_LOAD if segment.p_offset(endian) == 0 => {
                    first = Some(segment.p_vaddr(endian));
                }
                elf::PT_TLS => {
                    thread_locals = (segment.p_memsz(endian), segment.p_align(endian).max(1));
                }
                _ => {}
            }
        }
        let behind = first.map(|first| first.wrapping_add(header.e_phoff(endian)));
        let build_id = build_id(&object);
        Ok(Self {
            headers: headers
                .or(behind)
                .ok_or(Refusal::Foreign("the program has no program headers"))?,
            thread_locals,
            build_id,
            file,
        })
    }

    /// The distance of a thread's variables below its thread pointer.
    pub(crate) fn thread_locals_below_pointer(&self) -> u64 {
        let (size, align) = self.thread_locals;
        size.checked_next_multiple_of(align).unwrap_or(size)
    }

    /// The address of the build id in the file, and its bytes.
    pub(crate) fn build_id_note(&self) -> Option<(u64, Vec<u8>)> {
        let object = object::File::parse(&*self.file).ok()?;
        let id = object.build_id().ok()??.to_vec();
        let section = object.section_by_name(".note.gnu.build-id")?;
        let behind = section.data().ok()?.len().checked_sub(id.len())?;
        Some((section.address().checked_add(behind as u64)?, id))
    }

    /// The file with the debug information; `None` for the program itself. `real` is the program's path for this command,
    /// below `root`, the root directory of its process.
    pub(crate) fn debug_file(
        &self,
        root: &Path,
        real: &Path,
        named: Option<&Path>,
    ) -> Result<Option<Mapped>, Refusal> {
        let own = parse(&self.file, real)?;
        if let Some(named) = named {
            let none = |why: &str| Refusal::NoDebugFile(named.into(), why.into());
            let file = Mapped::open(named).map_err(|error| none(&error.to_string()))?;
            let object = object::File::parse(&*file).map_err(|_| none("it is no ELF file"))?;
            let debug_id = build_id(&object);
            if debug_id != self.build_id {
                let text = |id: &str| {
                    if id.is_empty() {
                        "none".into()
                    } else {
                        id.into()
                    }
                };
                return Err(Refusal::Mismatch {
                    debug: named.into(),
                    debug_id: text(&debug_id),
                    program_id: text(&self.build_id),
                });
            }
            if !has_information(&object) {
                return Err(none("it is stripped"));
            }
            drop(object);
            return Ok(Some(file));
        }
        if has_information(&own) {
            return Ok(None);
        }
        // Without a build id, files cannot be matched to each other.
        let found = self.places(root, real, &own).into_iter().find_map(|path| {
            let file = Mapped::open(&path).ok()?;
            let object = object::File::parse(&*file).ok()?;
            let fits = !self.build_id.is_empty()
                && build_id(&object) == self.build_id
                && has_information(&object);
            fits.then_some(())?;
            drop(object);
            Some(file)
        });
        match found {
            Some(file) => Ok(Some(file)),
            None => Err(Refusal::NoDebugInformation(real.into())),
        }
    }

    /// The package of split debug information, `NAME.dwp`, beside the debug file or beside the program.
    pub(crate) fn package(&self, real: &Path, debug_file: Option<&Mapped>) -> Option<Mapped> {
        let files = [debug_file.map(|file| &*file.path), Some(real)];
        files.into_iter().flatten().find_map(|file| {
            let mut name = file.as_os_str().to_owned();
            name.push(".dwp");
            Mapped::open(Path::new(&name)).ok()
        })
    }

    /// The paths to search, in gdb's order: by build id, then by the name that `objcopy --add-gnu-debuglink` has
    /// written. The process's own root comes before the one of this command.
    fn places(&self, root: &Path, real: &Path, own: &object::File<'_>) -> Vec<PathBuf> {
        let systems = [root.join(SYSTEM), Path::new("/").join(SYSTEM)];
        let mut places = Vec::new();
        if let Some((first, rest)) = self.build_id.split_at_checked(2) {
            let name = format!(".build-id/{first}/{rest}.debug");
            places.extend(systems.iter().map(|system| system.join(&name)));
        }
        let link = own.gnu_debuglink().ok().flatten();
        let link = link.and_then(|(name, _)| std::str::from_utf8(name).ok());
        if let (Some(link), Some(directory)) = (link, real.parent()) {
            places.push(directory.join(link));
            places.push(directory.join(".debug").join(link));
            let below = directory.strip_prefix(root).unwrap_or(directory);
            places.extend(systems.iter().map(|system| system.join(below).join(link)));
        }
        places
    }
}

fn parse<'d>(bytes: &'d [u8], path: &Path) -> Result<object::File<'d>, Refusal> {
    object::File::parse(bytes).map_err(|error| Refusal::Unreadable(path.into(), error.to_string()))
}

fn has_information(object: &object::File<'_>) -> bool {
    object
        .section_by_name(".debug_info")
        .is_some_and(|section| section.size() > 0)
}

fn build_id(object: &object::File<'_>) -> String {
    let id = object.build_id().ok().flatten().unwrap_or_default();
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_other_machines_are_refused() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let open = |name: &str, at: usize, byte: u8| {
            let mut bytes = own[..4096].to_vec();
            bytes[at] = byte;
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            std::fs::write(&path, &bytes).unwrap();
            let opened = Program::open(&path, &path);
            std::fs::remove_file(&path).unwrap();
            opened.unwrap_err().to_string()
        };
        // The indices are those of EI_CLASS and of the lower byte of e_machine.
        let narrow = open("narrow", 4, elf::ELFCLASS32);
        assert!(narrow.contains("32-bit"), "{narrow}");
        let machine = elf::EM_AARCH64 as u8;
        let other = open("other", 18, machine);
        assert!(
            other.contains("another processor") || other.contains("cannot be read"),
            "{other}"
        );
        let text = open("text", 0, b'x');
        assert!(text.contains("cannot be read"), "{text}");
    }
}
