//! Threads and their stacks.
//!
//! * [`modules`]: the program and its libraries, with their addresses;
//! * [`names`]: the names of the threads of a core file;
//! * [`pointers`]: the thread pointers of running threads;
//! * [`unwind`]: frames, from registers;
//! * [`symbols`]: functions and lines, from frames.

pub(crate) mod modules;
pub(crate) mod names;
pub(crate) mod pointers;
pub(crate) mod symbols;
pub(crate) mod unwind;
