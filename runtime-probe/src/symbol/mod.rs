//! From code addresses to names that people can read. Runs on the reader's thread only, never on a hot path.
//!
//! In reading order:
//! * [`resolver`]: address to functions and lines, inlined ones included, cached;
//! * [`name`]: from a compiler's symbol to a short name;
//! * [`role`]: scaffolding or not, and what a leaf waits for.

pub(crate) mod name;
pub(crate) mod resolver;
pub(crate) mod role;
