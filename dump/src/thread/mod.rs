//! Threads of a dump.
//!
//! * [`text`]: a block of text for each;
//! * [`json`]: an object of JSON for each.

pub mod json;
pub mod text;
