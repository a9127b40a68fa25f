//! Models and encoders of task dumps: what a probe saw, as plain owned data, and the formats that Go's tools read.
//!
//! In reading order:
//! * [`stack`]: frames, locations, stacks and the sites that spawned tasks;
//! * [`naming`]: what functions are called and what waiting in them means;
//! * [`goroutine`]: one task of a dump, and the dump;
//! * [`goroutine_text`]: a block of text for each task, Go's `debug=2`;
//! * [`goroutine_json`]: an object of JSON for each task;
//! * [`goroutine_samples`]: a sample of `profile.proto` for each task, `debug=3`;
//! * [`address_list`]: by which addresses a stack is counted;
//! * `stack_profile`: values by stack and labels;
//! * [`count_profile`]: how many tasks have which stack, and as text, Go's `debug=1`;
//! * [`count_delta`]: what that has changed by;
//! * [`contention`]: how often and how long was waited where, Go's block and mutex profiles;
//! * [`cpu_profile`]: what ran for how long;
//! * [`heap_profile`], [`mem_stats`]: what was allocated, and what of it is alive, Go's heap profile;
//! * [`profile`]: that and any other profile as `profile.proto`, Go's `debug=0`;
//! * [`folded`]: any profile as folded stacks, for flame graphs;
//! * [`schedtrace`]: lines of the scheduler's state;
//! * [`trace`]: what ran when, as Go's execution trace;
//! * [`thread_text`]: threads, a block of text for each;
//! * [`thread_json`]: an object of JSON for each;
//! * [`json`]: pieces of JSON;
//! * [`source_path`]: paths of source files, as people read them;
//! * [`proto`]: the messages of `profile.proto`;
//! * [`profile_file`]: their bytes, written and read.

pub mod address_list;
pub mod contention;
pub mod count_delta;
pub mod count_profile;
mod count_text;
pub mod cpu_profile;
mod digits;
mod duration_text;
pub mod folded;
pub mod goroutine;
pub mod goroutine_json;
pub mod goroutine_samples;
pub mod goroutine_text;
pub mod heap_profile;
pub mod json;
mod labels;
pub mod mem_stats;
pub mod naming;
pub mod profile;
pub mod profile_file;
pub mod proto;
mod quoted;
pub mod schedtrace;
mod single_line;
pub mod source_path;
pub mod stack;
mod stack_profile;
mod stack_text;
mod tabwriter;
pub mod thread_json;
pub mod thread_text;
pub mod trace;
