//! What a program's debug information tells of its types.
//!
//! * [`index`]: where in it everything is, in one pass;
//! * `roots`: which future a frame of `block_on` is for;
//! * [`types`]: types, read when they are first needed;
//! * [`unusable`]: why there is no index.

pub mod index;
mod roots;
pub mod types;
pub mod unusable;
