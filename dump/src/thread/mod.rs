//! Threads of a dump.
//!
//! * [`text`]: a block of text for each thread;
//! * [`json`]: a JSON object for each thread.

pub mod json;
pub mod text;
