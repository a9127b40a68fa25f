//! What a program's debug information tells of its types.
//!
//! * [`program`]: the program's file, and the file that has its debug information;
//! * [`index`]: where in it everything is, in one pass;
//! * [`roots`]: which future a frame of `block_on` is for;
//! * [`types`]: types, read when they are first needed.

pub(crate) mod index;
pub(crate) mod program;
mod roots;
pub(crate) mod types;
