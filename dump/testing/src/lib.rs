//! Readers of dumps for the tests of several packages, and of pages.
//!
//! * [`go`]: the real `go` command;
//! * [`perfetto`]: Perfetto's own messages;
//! * [`grammar`]: the grammars of Go's texts;
//! * [`cases`]: dumps with all features that an encoder must handle;
//! * [`browser`]: pages in Chromium.

pub mod browser;
pub mod cases;
pub mod go;
pub mod grammar;
pub mod perfetto;

use std::path::{Path, PathBuf};

/// The path of a file of this package.
fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The path of a file that a script of `ci` has installed below `target`; `None` if the file is missing.
fn installed(path: &str) -> Option<PathBuf> {
    let path = own("../../target").join(path);
    path.exists().then_some(path)
}
