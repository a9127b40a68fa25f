//! Threads and their stacks.
//!
//! * [`modules`]: the program and its libraries, where they are loaded;
//! * [`pointers`]: where the variables of threads are, without registers;
//! * [`unwind`]: from registers to frames;
//! * [`symbols`]: from frames to functions and lines.

pub(crate) mod modules;
pub(crate) mod pointers;
pub(crate) mod symbols;
pub(crate) mod unwind;
