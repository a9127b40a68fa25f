//! The types of a program, from its debug information.
//!
//! * [`index`]: the index of the debug information, built in one pass;
//! * `roots`: the future of a frame of `block_on`;
//! * [`types`]: types, read at their first use;
//! * [`unusable`]: the reasons why there is no index.

pub mod index;
mod roots;
pub mod types;
pub mod unusable;
