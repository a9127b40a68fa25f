//! Names for code addresses. Runs on the reader's thread only, never on a hot path.
//!
//! In reading order:
//! * [`debug_file`]: the file with the names of a stripped binary;
//! * [`symbol_table`]: the functions of a library with a separate debug file;
//! * [`resolver`]: functions and lines of addresses, with inlined functions, cached;
//! * `own_futures`: waits of tasks without stacks, decoded from their futures in memory;
//! * `own_pages`: copies of that memory;
//! * [`learned`]: reasons of waits without names;
//! * `naming` of the crate `runtime-dump`: short names of symbols, and the reasons that they tell.

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
