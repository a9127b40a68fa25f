//! Files and directories that exist completely or not at all: they are written under another name, and renamed.

use crate::refusal::Refusal;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The content of a file; `None` if the file does not exist.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Refusal> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refusal::file("read", path, &error)),
    }
}

/// Writes a file that no other program reads yet, and creates its parent directories.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Refusal> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(|error| Refusal::file("create", above, &error))?;
    }
    fs::write(path, content).map_err(|error| Refusal::file("write", path, &error))
}

/// Replaces the content of a file, or removes the file. Readers see the old content or the new one at all times.
pub fn replace(path: &Path, content: Option<&[u8]>) -> Result<(), Refusal> {
    let Some(content) = content else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Refusal::file("remove", path, &error))
            }
            _ => Ok(()),
        };
    };
    let aside = aside(path);
    write(&aside, content)?;
    rename(&aside, path)
}

/// Removes the temporary file of an interrupted [`replace`]. An error is ignored here; the next [`replace`] reports it.
pub fn forget_replacement(path: &Path) {
    let _ = fs::remove_file(aside(path));
}

fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".runtime-probe-new");
    aside.into()
}

pub fn rename(from: &Path, to: &Path) -> Result<(), Refusal> {
    fs::rename(from, to).map_err(|error| Refusal::file("write", to, &error))
}

/// Removes a directory, if it exists.
pub fn remove(path: &Path) -> Result<(), Refusal> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Refusal::file("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// Copies the contents of a directory, without the names in `leave_out` at its top. Permissions are not copied: a
/// registry's cache may be read-only, and the copy must be removable.
pub fn copy(from: &Path, to: &Path, leave_out: &[&str]) -> Result<(), Refusal> {
    fs::create_dir_all(to).map_err(|error| Refusal::file("create", to, &error))?;
    for entry in entries(from)? {
        let name = entry.file_name();
        if leave_out.iter().any(|out| name == *out) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if from.is_dir() {
            copy(&from, &to, &[])?;
        } else {
            let content = fs::read(&from).map_err(|error| Refusal::file("read", &from, &error))?;
            fs::write(&to, content).map_err(|error| Refusal::file("write", &to, &error))?;
        }
    }
    Ok(())
}

/// Whether two directories have the same content, apart from one name at their top.
pub fn same(one: &Path, other: &Path, leave_out: &str) -> Result<bool, Refusal> {
    let names = |directory: &Path| -> Result<Vec<_>, Refusal> {
        let mut names: Vec<_> = entries(directory)?
            .into_iter()
            .map(|entry| entry.file_name())
            .filter(|name| name != leave_out)
            .collect();
        names.sort();
        Ok(names)
    };
    let found = names(one)?;
    if found != names(other)? {
        return Ok(false);
    }
    for name in found {
        let (one, other) = (one.join(&name), other.join(&name));
        let equal = match (one.is_dir(), other.is_dir()) {
            (true, true) => same(&one, &other, "")?,
            (false, false) => read(&one)? == read(&other)?,
            _ => false,
        };
        if !equal {
            return Ok(false);
        }
    }
    Ok(true)
}

fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>, Refusal> {
    fs::read_dir(directory)
        .and_then(Iterator::collect)
        .map_err(|error| Refusal::file("read", directory, &error))
}
