//! A file, mapped into memory. Only the pages that are read take memory, also of a binary of a gigabyte.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The bytes of a file.
#[derive(Debug)]
pub struct Mapped {
    bytes: Mmap,
    /// The path.
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
        // SAFETY: the mapping is private and only read as bytes. A writer to the file can change the bytes, which all
        // readers of them tolerate. A truncation ends this process, not the process that is dumped.
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
