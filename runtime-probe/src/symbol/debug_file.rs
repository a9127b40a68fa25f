//! The file with a module's debug information: the module itself, or a separate debug file of a stripped module.
//!
//! The order after the user's file is gdb's: by build id, then by the name that `objcopy --add-gnu-debuglink` stored. A
//! file of another build would give wrong names. So the build id must be the module's; if the module has none, the
//! checksum of the link must match.

use crate::environment::DEBUG_FILE;
use crate::sys::modules::Module;
use object::read::{ReadCache, ReadRef};
use object::{Object, ObjectSection};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The directory of distributions for debug files.
const SYSTEM: &str = "/usr/lib/debug";

/// The file to read a module's names from.
pub(super) fn of(module: &Module) -> PathBuf {
    let is_program = module.is_program();
    let named = is_program.then(|| DEBUG_FILE.value()).flatten();
    let own = Own::read(&module.path).unwrap_or_default();
    if own.has_lines && named.is_none() {
        return module.path.clone();
    }
    // The link is relative to the module's real path.
    let real = std::fs::canonicalize(&module.path).unwrap_or_else(|_| module.path.clone());
    let named = named.map(PathBuf::from).filter(|path| {
        let belongs = belongs(path, module, own.link.as_ref());
        if !belongs {
            DEBUG_FILE.refuse("not the debug file of this build");
        }
        belongs
    });
    let link = own.link.as_ref().map(|(name, _)| OsStr::from_bytes(name));
    named
        .into_iter()
        .chain(places(&real, &module.build_id, link))
        .find(|path| *path != real && belongs(path, module, own.link.as_ref()))
        .unwrap_or_else(|| module.path.clone())
}

/// The facts about a module's own file.
#[derive(Default)]
struct Own {
    has_lines: bool,
    /// Name and checksum of `.gnu_debuglink`.
    link: Option<(Vec<u8>, u32)>,
}

impl Own {
    fn read(path: &Path) -> Option<Own> {
        // Reads only headers and a few sections: a binary may be a gigabyte.
        let cache = ReadCache::new(open(path)?);
        let file = object::File::parse(&cache).ok()?;
        let link = file.gnu_debuglink().ok().flatten();
        Some(Own {
            has_lines: has_lines(&file),
            link: link.map(|(name, checksum)| (name.to_vec(), checksum)),
        })
    }
}

fn has_lines<'d, R: ReadRef<'d>>(file: &object::File<'d, R>) -> bool {
    let lines = file.section_by_name(".debug_line");
    lines.is_some_and(|section| section.size() > 0)
}

/// Whether a file's debug information was split off (`split-debuginfo`), and is not where it was put. What is left in the file has
/// the line of the innermost inlined function and the name of the physical one: no pair of one frame.
pub(super) fn is_split_off(path: &Path) -> bool {
    let mut package = path.as_os_str().to_owned();
    package.push(".dwp");
    if Path::new(&package).exists() {
        return false;
    }
    let Some(file) = open(path) else {
        return false;
    };
    let cache = ReadCache::new(file);
    let Ok(file) = object::File::parse(&cache) else {
        return false;
    };
    // Addresses have a section of their own then. Without it the strings, megabytes of them, need not be read.
    if file.section_by_name(".debug_addr").is_none() {
        return false;
    }
    let strings = file.section_by_name(".debug_str");
    let strings = strings.and_then(|section| section.uncompressed_data().ok());
    strings.is_some_and(|strings| {
        let split_off = name_of_split_off(&strings);
        split_off.is_some_and(|name| !Path::new(OsStr::from_bytes(name)).exists())
    })
}

/// The part of a file's debug information that it has in common with other programs (`dwz -m`).
#[derive(Debug)]
pub(super) enum CommonPart {
    /// All is in the file.
    None,
    In(PathBuf),
    /// The file names another one that is not there. What is left gives the name of one frame and the line of another, as a file whose
    /// debug information was split off.
    Missing,
}

impl CommonPart {
    pub(super) fn of(path: &Path) -> CommonPart {
        let (link, id) = match Link::of(path) {
            Link::None => return CommonPart::None,
            Link::Malformed => return CommonPart::Missing,
            Link::To(link, id) => (link, id),
        };
        let places = places(path, &id, Some(OsStr::from_bytes(&link)));
        let mut places = places.into_iter();
        let found = places.find(|place| build_id_of(place).is_some_and(|found| found == id));
        found.map_or(CommonPart::Missing, CommonPart::In)
    }
}

/// The section `.gnu_debugaltlink`.
enum Link {
    /// The file has none, or cannot be read.
    None,
    Malformed,
    /// Name and build id of the other file.
    To(Vec<u8>, String),
}

impl Link {
    fn of(path: &Path) -> Link {
        let Some(file) = open(path) else {
            return Link::None;
        };
        let cache = ReadCache::new(file);
        let Ok(file) = object::File::parse(&cache) else {
            return Link::None;
        };
        match file.gnu_debugaltlink() {
            Ok(None) => Link::None,
            Ok(Some((name, id))) => Link::To(name.to_vec(), hex(id)),
            Err(_) => Link::Malformed,
        }
    }
}

/// Opens a regular file. A binary may name any path: the open of a FIFO would wait for a writer, that of a device may act on it.
fn open(path: &Path) -> Option<File> {
    let is_regular = |found: std::io::Result<Metadata>| found.is_ok_and(|found| found.is_file());
    if !is_regular(std::fs::metadata(path)) {
        return None;
    }
    // Another file may be at the path since.
    let mut options = File::options();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).ok()?;
    is_regular(file.metadata()).then_some(file)
}

fn build_id_of(path: &Path) -> Option<String> {
    let cache = ReadCache::new(open(path)?);
    let file = object::File::parse(&cache).ok()?;
    Some(hex(file.build_id().ok()??))
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first name of a file of split debug information among strings that end with a zero.
fn name_of_split_off(strings: &[u8]) -> Option<&[u8]> {
    let mut names = strings.split(|byte| *byte == 0);
    names.find(|name| name.ends_with(b".dwo"))
}

/// The possible paths of a module's debug file.
fn places(real: &Path, build_id: &str, link: Option<&OsStr>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some((folder, name)) = build_id.split_at_checked(2)
        && !name.is_empty()
    {
        places.push(format!("{SYSTEM}/.build-id/{folder}/{name}.debug").into());
    }
    if let (Some(link), Some(folder)) = (link, real.parent()) {
        places.push(folder.join(link));
        places.push(folder.join(".debug").join(link));
        let below = folder.strip_prefix("/").unwrap_or(folder);
        places.push(Path::new(SYSTEM).join(below).join(link));
    }
    places
}

/// Whether a file is the debug file of this build.
fn belongs(path: &Path, module: &Module, link: Option<&(Vec<u8>, u32)>) -> bool {
    if !module.build_id.is_empty() {
        return build_id_of(path).is_some_and(|id| id == module.build_id);
    }
    link.is_some_and(|(_, checksum)| checksum_of(path) == Some(*checksum))
}

/// The checksum of a debug link: CRC-32 of the whole file.
fn checksum_of(path: &Path) -> Option<u32> {
    let mut reader = flate2::CrcReader::new(open(path)?);
    std::io::copy(&mut reader, &mut std::io::sink()).ok()?;
    Some(reader.crc().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_split_debug_information_is_known_by_its_name() {
        assert_eq!(
            name_of_split_off(b"main\0app.dwo.rs\0a.1.dwo\0b.dwo\0"),
            Some(&b"a.1.dwo"[..])
        );
        assert_eq!(name_of_split_off(b"main\0dwo\0"), None);
        // Of this program all is in the file.
        assert!(!is_split_off(&std::env::current_exe().unwrap()));
    }

    #[test]
    fn only_a_regular_file_is_opened() {
        let folder = std::env::temp_dir().join(format!("probe-fifo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let fifo = folder.join("common.debug");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        // The open of a FIFO that no process writes to would wait for ever.
        let (tell, told) = std::sync::mpsc::channel();
        let path = fifo.clone();
        std::thread::spawn(move || tell.send((open(&path).is_some(), build_id_of(&path))));
        let answer = told.recv_timeout(std::time::Duration::from_secs(10));
        let is_folder_opened = open(&folder).is_some();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(answer, Ok((false, None)));
        assert!(!is_folder_opened);
        assert!(open(&std::env::current_exe().unwrap()).is_some());
    }

    #[test]
    fn places_are_those_of_gdb() {
        let link = OsStr::new("app.debug");
        let found = places(Path::new("/srv/bin/app"), "ab12cd", Some(link));
        let found: Vec<&str> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            found,
            [
                "/usr/lib/debug/.build-id/ab/12cd.debug",
                "/srv/bin/app.debug",
                "/srv/bin/.debug/app.debug",
                "/usr/lib/debug/srv/bin/app.debug",
            ]
        );
        assert!(places(Path::new("/srv/bin/app"), "é", None).len() < 2);
    }
}
