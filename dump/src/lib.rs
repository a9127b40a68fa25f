//! Models and encoders of task dumps: what a probe saw, as plain owned data, and the formats that Go's tools read.
//!
//! In reading order:
//! * [`stack`]: frames, locations, stacks and the sites that spawned tasks;
//! * [`goroutine`]: one task of a dump, and the dump.

pub mod goroutine;
pub mod stack;
