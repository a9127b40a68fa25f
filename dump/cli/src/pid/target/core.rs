//! A core file, written by the kernel or by gcore.

use super::{Mapping, Registers, Thread};
use crate::pid::refusal::{Cut, Refusal};
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use runtime_dump_decode::Memory;
use runtime_dump_decode::mapped::Mapped;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The offset and size of the main thread's name in `NT_PRPSINFO`.
const NAME: usize = 40;
const NAME_SIZE: usize = 16;

/// The note `NT_FILE`: the mapped files and their addresses.
const NT_FILE: u32 = 0x4649_4c45;

/// The offset of `pr_reg` in `NT_PRSTATUS`, and the indices of registers there.
const REGISTERS: usize = 112;
const RBP: usize = 4;
const RIP: usize = 16;
const RSP: usize = 19;
const FS_BASE: usize = 21;

/// A core file.
#[derive(Debug)]
pub(crate) struct Core {
    file: Mapped,
    /// The segments, in the order of their addresses.
    segments: Vec<Segment>,
    pub(crate) mappings: Vec<Mapping>,
    /// Mapped files, by name. Their pages replace those that the core file leaves out.
    files: HashMap<String, Mapped>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) pid: u32,
    /// The address of the program headers in memory.
    pub(crate) program_headers: u64,
    /// The missing size, if the core file lacks its end.
    pub(crate) cut: Option<Cut>,
}

/// A part of memory that the core file contains.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u64,
    /// The number of bytes in the core file.
    length: u64,
    offset: u64,
}

impl Core {
    /// Reads the notes and segments.
    pub(crate) fn open(path: &Path) -> Result<Self, Refusal> {
        let unreadable = |why: &dyn ToString| Refusal::Unreadable(path.into(), why.to_string());
        let file = Mapped::open(path).map_err(|error| unreadable(&error))?;
        let bytes: &[u8] = &file;
        if bytes.starts_with(&elf::ELFMAG) && bytes.get(4) == Some(&elf::ELFCLASS32) {
            return Err(Refusal::Foreign("the core is of a 32-bit program"));
        }
        let header = elf::FileHeader64::<Endianness>::parse(bytes)
            .map_err(|_| unreadable(&"it is no ELF file"))?;
        let endian = header.endian().map_err(|error| unreadable(&error))?;
        if header.e_type(endian) != elf::ET_CORE {
            return Err(unreadable(
                &"it is not a core file; `gcore PID` or the kernel writes one",
            ));
        }
        if header.e_machine(endian) != elf::EM_X86_64 {
            return Err(Refusal::Foreign("the core is of another processor"));
        }
        let headers = header
            .program_headers(endian, bytes)
            .map_err(|error| unreadable(&error))?;
        let (mut threads, mut named, mut program_headers, mut pid) =
            (Vec::<Thread>::new(), Vec::new(), None, 0);
        let mut main_name = String::new();
        for segment in headers {
            let Ok(Some(mut notes)) = segment.notes(endian, bytes) else {
                continue;
            };
            while let Ok(Some(note)) = notes.next() {
                let words = Words(note.desc());
                match note.n_type(endian) {
                    elf::NT_PRSTATUS => threads.extend(thread(words)),
                    elf::NT_PRPSINFO => {
                        pid = words.half(24).unwrap_or(0);
                        main_name = words.text(NAME, NAME_SIZE);
                    }
                    elf::NT_AUXV => program_headers = program_headers.or(auxiliary(words)),
                    NT_FILE => named = files(words).unwrap_or_default(),
                    _ => {}
                }
            }
        }
        let main_thread = threads.iter_mut().find(|thread| thread.tid == pid);
        if let Some(main_thread) = main_thread {
            main_thread.name = main_name;
        }
        let mut segments = Vec::new();
        let mut mappings = Vec::new();
        for segment in headers {
            if segment.p_type(endian) != elf::PT_LOAD {
                continue;
            }
            let start = segment.p_vaddr(endian);
            let end = start.saturating_add(segment.p_memsz(endian));
            let flags = segment.p_flags(endian);
            let of = named
                .iter()
                .find(|file: &&Named| (file.start..file.end).contains(&start));
            segments.push(Segment {
                start,
                length: segment.p_filesz(endian),
                offset: segment.p_offset(endian),
            });
            mappings.push(Mapping {
                start,
                end,
                offset: of.map_or(0, |file| file.offset + (start - file.start)),
                executable: flags & elf::PF_X != 0,
                is_data: flags & elf::PF_W != 0 && of.is_none(),
                path: of.map_or_else(String::new, |file| file.path.clone()),
            });
        }
        // gcore leaves out code. Of a mapped file that the core file leaves out, the file's own headers show the code.
        for file in &named {
            if !segments
                .iter()
                .any(|segment: &Segment| segment.start == file.start)
            {
                mappings.push(Mapping {
                    start: file.start,
                    end: file.end,
                    offset: file.offset,
                    executable: true,
                    is_data: false,
                    path: file.path.clone(),
                });
            }
        }
        let ends = headers.iter().map(|segment| {
            let size = segment.p_filesz(endian);
            segment.p_offset(endian).saturating_add(size)
        });
        let (has, wanted) = (bytes.len() as u64, ends.max().unwrap_or(0));
        let cut = (has < wanted).then_some(Cut { has, wanted });
        mappings.sort_by_key(|mapping| mapping.start);
        segments.sort_by_key(|segment| segment.start);
        Ok(Self {
            segments,
            mappings,
            files: HashMap::new(),
            threads,
            pid,
            program_headers: program_headers.ok_or_else(|| match cut {
                Some(cut) => Refusal::Cut {
                    core: path.into(),
                    cut,
                },
                None => unreadable(&"it does not tell where its program is"),
            })?,
            cut,
            file,
        })
    }

    /// The path of the program.
    pub(crate) fn program_name(&self) -> Option<PathBuf> {
        let at = self.program_headers;
        let has = |mapping: &&Mapping| (mapping.start..mapping.end).contains(&at);
        let found = self.mappings.iter().find(has)?;
        (!found.path.is_empty()).then(|| found.path.clone().into())
    }

    /// Opens the mapped files, for pages that the core file leaves out.
    pub(crate) fn fill_from_files(&mut self, program: &Path, exe: &Path) {
        let names: Vec<String> = self
            .mappings
            .iter()
            .map(|mapping| mapping.path.clone())
            .collect();
        for name in names {
            if name.is_empty() || self.files.contains_key(&name) {
                continue;
            }
            let path = match Path::new(&name) == program {
                true => exe,
                false => Path::new(&name),
            };
            if let Ok(file) = Mapped::open(path) {
                self.files.insert(name, file);
            }
        }
    }

    /// Copies bytes that the core file contains, at most as many as fit into `into`. Returns their number.
    fn dumped(&self, address: u64, into: &mut [u8]) -> Option<usize> {
        let behind = self
            .segments
            .partition_point(|segment| segment.start <= address);
        let segment = self.segments.get(behind.checked_sub(1)?)?;
        let inside = address - segment.start;
        let left = segment
            .length
            .checked_sub(inside)
            .filter(|left| *left > 0)?;
        let some = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let from = usize::try_from(segment.offset.checked_add(inside)?).ok()?;
        into[..some].copy_from_slice(self.file.get(from..from.checked_add(some)?)?);
        Some(some)
    }

    fn mapped(&self, address: u64, into: &mut [u8]) -> Option<usize> {
        let has = |mapping: &&Mapping| (mapping.start..mapping.end).contains(&address);
        let mapping = self.mappings.iter().find(has)?;
        let file = self.files.get(&mapping.path)?;
        let left = usize::try_from(mapping.end - address).unwrap_or(usize::MAX);
        let some = into.len().min(left);
        let from = usize::try_from(mapping.offset.checked_add(address - mapping.start)?).ok()?;
        into[..some].copy_from_slice(file.get(from..from.checked_add(some)?)?);
        Some(some)
    }

    /// Whether the core file has these bytes at this address. True if it does not contain the address.
    pub(crate) fn agrees(&self, address: u64, bytes: &[u8]) -> bool {
        let mut found = vec![0; bytes.len()];
        match self.dumped(address, &mut found) {
            Some(length) if length == bytes.len() => found == bytes,
            _ => true,
        }
    }
}

impl Memory for Core {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let (mut address, mut into) = (address, into);
        while !into.is_empty() {
            let Some(some) = self
                .dumped(address, into)
                .or_else(|| self.mapped(address, into))
            else {
                return false;
            };
            into = &mut into[some..];
            let Some(next) = address.checked_add(some as u64) else {
                return into.is_empty();
            };
            address = next;
        }
        true
    }
}

/// The numbers in a note.
#[derive(Clone, Copy)]
struct Words<'n>(&'n [u8]);

impl Words<'_> {
    fn word(self, at: usize) -> Option<u64> {
        let bytes = self.0.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn half(self, at: usize) -> Option<u32> {
        let bytes = self.0.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// A text that ends with a zero byte; empty if it is not there.
    fn text(self, at: usize, size: usize) -> String {
        let bytes = self.0.get(at..at + size).unwrap_or_default();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

fn thread(note: Words<'_>) -> Option<Thread> {
    let register = |number: usize| note.word(REGISTERS + 8 * number);
    Some(Thread {
        tid: note.half(32)?,
        name: String::new(),
        no_name: None,
        state: "unknown",
        cpu_ns: None,
        registers: Some(Registers {
            pc: register(RIP)?,
            sp: register(RSP)?,
            fp: register(RBP)?,
            fs_base: register(FS_BASE)?,
        }),
    })
}

fn auxiliary(note: Words<'_>) -> Option<u64> {
    (0..note.0.len() / 16)
        .find(|number| note.word(16 * number) == Some(libc::AT_PHDR))
        .and_then(|number| note.word(16 * number + 8))
}

/// A mapped file.
struct Named {
    start: u64,
    end: u64,
    offset: u64,
    path: String,
}

fn files(note: Words<'_>) -> Option<Vec<Named>> {
    let count = usize::try_from(note.word(0)?).ok()?;
    let page = note.word(8)?;
    let names = note.0.get(count.checked_mul(24)?.checked_add(16)?..)?;
    let names = names.split(|byte| *byte == 0);
    let named = (0..count).zip(names).filter_map(|(number, name)| {
        let word = |place: usize| note.word(16 + 24 * number + 8 * place);
        Some(Named {
            start: word(0)?,
            end: word(1)?,
            offset: word(2)?.checked_mul(page)?,
            path: String::from_utf8_lossy(name).into_owned(),
        })
    });
    Some(named.collect())
}
