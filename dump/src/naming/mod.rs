//! Names of functions, and their meaning: a wait reason, scaffolding, or a part of a library.
//!
//! * [`name`]: from a compiler's symbol to a short name;
//! * [`mod@module_path`]: a module path from a file path, where the symbol has none;
//! * [`role`]: whether a function is scaffolding, and whether it belongs to a library;
//! * [`reason`]: the wait reason of a leaf.

pub mod module_path;
pub mod name;
pub mod reason;
pub mod role;
