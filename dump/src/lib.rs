//! Models and encoders of task dumps: what a probe saw, as plain owned data, and the formats that Go's tools read.
//!
//! In reading order:
//! * [`stack`]: frames, locations, stacks and the sites that spawned tasks;
//! * [`naming`]: what functions are called and what waiting in them means;
//! * [`goroutine`]: one task of a dump, and the dump, in each of its forms;
//! * [`thread`]: threads, in theirs;
//! * [`profile`]: values by stack, as Go's profiles and their texts;
//! * [`schedtrace`]: lines of the scheduler's state;
//! * [`trace`]: what ran when, as Go's execution trace;
//! * [`json`]: pieces of JSON;
//! * [`source_path`]: paths of source files, as people read them;
//! * `text`: pieces of text;
//! * [`parse`]: goroutines, threads and counts as text, logs of these, and `profile.proto`, read back, and Go's own.

pub mod goroutine;
pub mod json;
pub mod naming;
pub mod parse;
pub mod profile;
pub mod schedtrace;
pub mod source_path;
pub mod stack;
mod text;
pub mod thread;
pub mod trace;
