//! Values by stack: Go's profiles, as `profile.proto` and as text.
//!
//! * [`address_list`]: by which addresses a stack is counted;
//! * `labels`: what a sample is labelled with;
//! * `stack_profile`: values by stack and labels;
//! * [`count`]: how many tasks have which stack, and as text, Go's `debug=1`;
//! * [`count_delta`]: what that has changed by;
//! * [`contention`]: how often and how long was waited where, Go's block and mutex profiles;
//! * [`cpu`]: what ran for how long;
//! * [`heap`], [`mem_stats`]: what was allocated, and what of it is alive, Go's heap profile;
//! * [`builder`]: that and any other profile as `profile.proto`, Go's `debug=0`;
//! * [`folded`]: any profile as folded stacks, for flame graphs;
//! * [`proto`]: the messages of `profile.proto`;
//! * [`file`](mod@file): their bytes, written and read.

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
