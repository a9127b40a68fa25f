//! Names of functions, and what they tell: a reason to wait, scaffolding, a library's own.
//!
//! * [`name`]: from a compiler's symbol to a short name;
//! * [`role`]: scaffolding or not, and what a leaf waits for.

pub mod name;
pub mod role;
