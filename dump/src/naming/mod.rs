//! Names of functions, and what they tell: a reason to wait, scaffolding, a library's own.
//!
//! * [`name`]: from a compiler's symbol to a short name;
//! * [`mod@module_path`]: a module guessed from its file, where the symbol tells none;
//! * [`role`]: scaffolding or not, a library's or not;
//! * [`reason`]: what a leaf waits for.

pub mod module_path;
pub mod name;
pub mod reason;
pub mod role;
