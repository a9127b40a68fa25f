//! Values by stack: Go's profiles, as `profile.proto` and as text.
//!
//! * [`address_list`]: the addresses by which a stack is counted;
//! * `labels`: the labels of samples;
//! * `stack_profile`: values by stack and labels;
//! * [`count`]: the number of tasks by stack, and its text, Go's `debug=1`;
//! * [`count_delta`]: the difference of two such profiles;
//! * [`contention`]: the number of waits and their time by stack, Go's block and mutex profiles;
//! * [`cpu`]: CPU time by stack;
//! * [`heap`], [`mem_stats`]: allocations by stack, and those in use, Go's heap profile;
//! * [`builder`]: any profile as `profile.proto`, Go's `debug=0`;
//! * [`folded`]: any profile as folded stacks, for flame graphs;
//! * [`proto`]: the messages of `profile.proto`;
//! * [`file`](mod@file): encoding and decoding of their bytes.

pub mod address_list;
pub mod builder;
pub mod contention;
pub mod count;
pub mod count_delta;
mod count_text;
pub mod cpu;
pub mod file;
pub mod folded;
pub mod heap;
pub(crate) mod labels;
pub mod mem_stats;
pub mod proto;
mod stack_profile;
