//! Models and encoders of task dumps. A dump is plain owned data; the encoders write it in the formats that Go's tools
//! read.
//!
//! In reading order:
//! * [`stack`]: frames, locations, stacks and the sites that spawned tasks;
//! * [`naming`]: the names of functions, and the wait reasons that they stand for;
//! * [`goroutine`]: one task of a dump, and the forms of a dump;
//! * [`thread`]: threads, and the forms of a thread dump;
//! * [`profile`]: values by stack, as Go's profiles and their texts;
//! * [`schedtrace`]: lines of the scheduler's state;
//! * [`trace`]: events by time, as Go's execution trace;
//! * [`json`]: pieces of JSON;
//! * [`printable`]: characters that a terminal does not act on;
//! * [`source_path`]: short paths of source files;
//! * `text`: pieces of text;
//! * [`parse`]: parsers of goroutine, thread and count dumps, of logs of these, and of `profile.proto`, ours and Go's.

pub mod goroutine;
pub mod json;
pub mod naming;
pub mod parse;
pub mod printable;
pub mod profile;
pub mod schedtrace;
pub mod source_path;
pub mod stack;
mod text;
pub mod thread;
pub mod trace;
