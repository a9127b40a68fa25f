//! A file, mapped into memory: of a binary of a gigabyte only the pages that are read take memory.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The bytes of a file.
#[derive(Debug)]
pub struct Mapped {
    bytes: Mmap,
    /// Its path.
    pub path: PathBuf,
}

impl Mapped {
    /// Maps the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a directory",
            ));
        }
        #[expect(unsafe_code, reason = "a file may change under a mapping")]
        // SAFETY: the mapping is private and read as bytes only. A writer to the file could change what is read, which the
        // readers bear; a truncation ends this process, not the one that is looked at.
        let bytes = unsafe { Mmap::map(&file)? };
        Ok(Self {
            bytes,
            path: path.to_owned(),
        })
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
