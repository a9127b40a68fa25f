//! From code addresses to names that people can read. Runs on the reader's thread only, never on a hot path.
//!
//! In reading order:
//! * [`debug_file`]: the file that has the names, where the binary was stripped of them;
//! * [`symbol_table`]: the functions of a library whose names are in a file of their own;
//! * [`resolver`]: address to functions and lines, inlined ones included, cached;
//! * [`learned`]: what a leaf waits for, where there are no names;
//! * [`name`]: from a compiler's symbol to a short name (of the crate `runtime-dump`);
//! * [`mod@module_path`]: a module guessed from its file, where the symbol tells none;
//! * [`role`]: scaffolding or not, and what a leaf waits for (of the crate `runtime-dump`).

#[cfg(unix)]
mod debug_file;
pub(crate) mod learned;
pub(crate) mod module_path;
pub(crate) mod resolver;
mod symbol_table;

pub(crate) use runtime_dump::naming::{name, role};
