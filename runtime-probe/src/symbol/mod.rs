//! From code addresses to names that people can read. Runs on the reader's thread only, never on a hot path.
//!
//! In reading order:
//! * [`debug_file`]: the file that has the names, where the binary was stripped of them;
//! * [`symbol_table`]: the functions of a library whose names are in a file of their own;
//! * [`resolver`]: address to functions and lines, inlined ones included, cached;
//! * `own_futures`: where tasks wait whose waits leave no stack, by their futures in memory and the types of these;
//! * `own_pages`: that memory, copied;
//! * [`learned`]: what a leaf waits for, where there are no names;
//! * `naming` of the crate `runtime-dump`: from a compiler's symbol to a short name, and what that tells.

#[cfg(unix)]
mod debug_file;
pub(crate) mod learned;
#[cfg(feature = "decode")]
pub(crate) mod own_futures;
#[cfg(feature = "decode")]
mod own_pages;
pub(crate) mod resolver;
mod symbol_table;

pub(crate) use runtime_dump::naming::{module_path, name, reason, role};
