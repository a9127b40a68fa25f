//! What tests of several packages read dumps with.
//!
//! * [`go`]: the real `go` command;
//! * [`perfetto`]: Perfetto's own messages;
//! * [`grammar`]: the grammars of Go's texts;
//! * [`cases`]: dumps with all that an encoder must cope with.

pub mod cases;
pub mod go;
pub mod grammar;
pub mod perfetto;

use std::path::{Path, PathBuf};

/// A file of this package's.
fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a script of `ci` has installed below `target`, if it has.
fn installed(path: &str) -> Option<PathBuf> {
    let path = own("../../target").join(path);
    path.exists().then_some(path)
}
