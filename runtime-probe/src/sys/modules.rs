//! The modules (main binary, shared libraries) that are mapped into this process, with the sections that unwinding
//! and symbolization need. Read from the loader's own list, in memory: no file is opened.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One loaded ELF module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// The file; `/proc/self/exe` for the main binary: the name that started it may not lead to it any more.
    pub(crate) path: PathBuf,
    /// The difference of an address in memory and that in the file.
    pub(crate) base: u64,
    /// All of the module, as addresses in this process.
    pub(crate) range: Range<u64>,
    /// Its executable segments: (addresses in this process, offset in the file).
    pub(crate) executable: Vec<(Range<u64>, u64)>,
    /// `.eh_frame_hdr`: the index into the unwind table.
    pub(crate) eh_frame_hdr: Option<Section>,
    /// From the start of `.eh_frame` to the end of its segment (the index names no length).
    pub(crate) eh_frame: Option<Section>,
    /// GNU build id, lower-case hex; empty where there is none.
    pub(crate) build_id: String,
}

impl Module {
    /// Whether it is the program itself.
    pub(crate) fn is_program(&self) -> bool {
        self.path == Path::new("/proc/self/exe")
    }
}

/// A section of a module. Borrowed from the main binary, which stays mapped for ever. A copy for a library, which may
/// be unloaded as soon as the loader's list is unlocked (all libraries of a usual process together: under 1 MB).
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// Its addresses in this process.
    pub(crate) range: Range<u64>,
    pub(crate) bytes: Cow<'static, [u8]>,
}

/// All modules, the main binary first.
pub(crate) fn loaded() -> Vec<Module> {
    imp::loaded()
}

/// Whether the address is in a module, so that a value there is a static.
pub(crate) fn contain(address: usize) -> bool {
    imp::contain(address as u64)
}

/// A number that changes when a module is loaded or unloaded.
pub(crate) fn generation() -> u64 {
    imp::generation()
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "walks the loader's list through dl_iterate_phdr"
)]
mod imp {
    use super::{Module, Section};
    use std::borrow::Cow;
    use std::ffi::{CStr, OsStr};
    use std::ops::Range;
    use std::os::unix::ffi::OsStrExt;

    pub(super) fn loaded() -> Vec<Module> {
        extern "C" fn visit(
            info: *mut libc::dl_phdr_info,
            _: usize,
            out: *mut libc::c_void,
        ) -> libc::c_int {
            // SAFETY: the loader passes a valid info for the length of this call, and `out` is the Vec given below,
            // to which there is no other reference.
            let (info, out) = unsafe { (&*info, &mut *out.cast::<Vec<Module>>()) };
            // SAFETY: as above; the headers stay mapped as long as the module does.
            out.extend(unsafe { module(info, out.is_empty()) });
            0
        }
        let mut out: Vec<Module> = Vec::new();
        // SAFETY: `visit` has the right signature and does not unwind.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut out).cast()) };
        out
    }

    pub(super) fn contain(address: u64) -> bool {
        extern "C" fn visit(
            info: *mut libc::dl_phdr_info,
            _: usize,
            out: *mut libc::c_void,
        ) -> libc::c_int {
            // SAFETY: the loader passes a valid info for the length of this call, and `out` is the number given below.
            let (info, address) = unsafe { (&*info, *out.cast::<u64>()) };
            if info.dlpi_phdr.is_null() {
                return 0;
            }
            // SAFETY: dlpi_phdr points at dlpi_phnum headers.
            let headers =
                unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
            let offset = address.wrapping_sub(info.dlpi_addr);
            let is_in = |header: &libc::Elf64_Phdr| {
                header.p_type == libc::PT_LOAD
                    && offset.wrapping_sub(header.p_vaddr) < header.p_memsz
            };
            libc::c_int::from(headers.iter().any(is_in))
        }
        let mut address = address;
        // SAFETY: as in `loaded`.
        let found = unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut address).cast()) };
        found != 0
    }

    pub(super) fn generation() -> u64 {
        extern "C" fn visit(
            info: *mut libc::dl_phdr_info,
            size: usize,
            out: *mut libc::c_void,
        ) -> libc::c_int {
            // The counters are the last fields; an old C library may pass a shorter struct.
            if size >= size_of::<libc::dl_phdr_info>() {
                // SAFETY: the loader passes a valid info of at least this size, and `out` is the u64 given below.
                unsafe {
                    *out.cast::<u64>() = (*info).dlpi_adds << 32 | ((*info).dlpi_subs & 0xffff_ffff)
                };
            }
            1
        }
        let mut out = 0u64;
        // SAFETY: as in `loaded`.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut out).cast()) };
        out
    }

    /// # Safety
    /// `info` is what the loader passes, so its headers and the segments they describe are mapped.
    unsafe fn module(info: &libc::dl_phdr_info, main: bool) -> Option<Module> {
        if info.dlpi_phdr.is_null() {
            return None;
        }
        // SAFETY: dlpi_phdr points at dlpi_phnum headers.
        let headers =
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let base = info.dlpi_addr;
        let at = |vaddr: u64, len: u64| {
            base.wrapping_add(vaddr)..base.wrapping_add(vaddr).wrapping_add(len)
        };
        let mut module = Module {
            path: if main {
                "/proc/self/exe".into()
            } else if info.dlpi_name.is_null() {
                return None;
            } else {
                // SAFETY: dlpi_name is a C string owned by the loader.
                OsStr::from_bytes(unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes()).into()
            },
            base,
            // Empty, until the first segment extends it.
            range: std::ops::Range {
                start: u64::MAX,
                end: 0,
            },
            executable: Vec::new(),
            eh_frame_hdr: None,
            eh_frame: None,
            build_id: String::new(),
        };
        let mut loads = Vec::new();
        let mut index = None;
        for header in headers {
            let segment = at(header.p_vaddr, header.p_memsz);
            match header.p_type {
                libc::PT_LOAD => {
                    module.range =
                        module.range.start.min(segment.start)..module.range.end.max(segment.end);
                    if header.p_flags & libc::PF_X != 0 {
                        module.executable.push((segment.clone(), header.p_offset));
                    }
                    loads.push(segment);
                }
                libc::PT_GNU_EH_FRAME => index = Some(segment),
                libc::PT_NOTE => {
                    // SAFETY: a note segment lies inside a loaded segment, so it is mapped and readable.
                    let notes = unsafe {
                        std::slice::from_raw_parts(
                            segment.start as *const u8,
                            header.p_memsz as usize,
                        )
                    };
                    if let Some(id) = build_id(notes) {
                        module.build_id = id;
                    }
                }
                _ => {}
            }
        }
        if let Some(index) = index
            && index.end - index.start >= 8
        {
            // SAFETY: the loader's list is locked, so its modules are mapped, and the range is a segment of one.
            let section = |range: Range<u64>| unsafe { section(range, main) };
            let index = section(index);
            // Layout: version, three encoding bytes, then a pointer to .eh_frame. Every linker writes that pointer as
            // pcrel|sdata4 (0x1b).
            if let [1, 0x1b, _, _, delta @ ..] = &*index.bytes
                && let Some(delta) = delta.first_chunk()
            {
                let delta = i64::from(i32::from_le_bytes(*delta));
                let start = (index.range.start + 4).wrapping_add_signed(delta);
                let load = loads.iter().find(|load| load.contains(&start));
                module.eh_frame = load.map(|load| section(start..load.end));
            }
            module.eh_frame_hdr = Some(index);
        }
        (!module.executable.is_empty()).then_some(module)
    }

    /// # Safety
    /// The range is mapped and readable, and stays so during the call; if `stays`, for ever.
    unsafe fn section(range: Range<u64>, stays: bool) -> Section {
        let len = (range.end - range.start) as usize;
        // SAFETY: by contract; bytes that may be unmapped later are copied.
        let bytes = unsafe { std::slice::from_raw_parts(range.start as *const u8, len) };
        let bytes = if stays {
            Cow::Borrowed(bytes)
        } else {
            Cow::Owned(bytes.to_vec())
        };
        Section { range, bytes }
    }

    fn build_id(mut notes: &[u8]) -> Option<String> {
        const NT_GNU_BUILD_ID: u32 = 3;
        while notes.len() >= 12 {
            let word =
                |i: usize| u32::from_le_bytes([notes[i], notes[i + 1], notes[i + 2], notes[i + 3]]);
            let (name_len, desc_len, kind) = (word(0) as usize, word(4) as usize, word(8));
            let desc_at = 12usize.checked_add(name_len.next_multiple_of(4))?;
            let next = desc_at.checked_add(desc_len.next_multiple_of(4))?;
            let desc = notes.get(desc_at..desc_at.checked_add(desc_len)?)?;
            if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") {
                return Some(desc.iter().map(|byte| format!("{byte:02x}")).collect());
            }
            notes = notes.get(next..)?;
        }
        None
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn loaded() -> Vec<super::Module> {
        Vec::new()
    }
    pub(super) fn contain(_: u64) -> bool {
        false
    }
    pub(super) fn generation() -> u64 {
        0
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::atomic::AtomicU64;

    #[test]
    fn the_main_binary_comes_first_and_holds_this_function() {
        let modules = super::loaded();
        let here = modules[0]
            .executable
            .iter()
            .any(|(range, _)| range.contains(&(super::loaded as *const () as u64)));
        assert!(here, "{modules:?}");
        assert!(modules[0].eh_frame.is_some());
    }

    #[test]
    fn a_static_is_in_a_module_and_other_values_are_not() {
        static VALUE: AtomicU64 = AtomicU64::new(0);
        let (local, boxed) = (AtomicU64::new(0), Box::new(AtomicU64::new(0)));
        assert!(super::contain(std::ptr::from_ref(&VALUE).addr()));
        assert!(!super::contain(std::ptr::from_ref(&local).addr()));
        assert!(!super::contain(std::ptr::from_ref(&*boxed).addr()));
        assert!(!super::contain(0));
        assert!(!super::contain(usize::MAX));
    }
}
