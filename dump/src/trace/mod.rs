//! Execution traces: what tasks and threads did, in the order of time, as Go's trace format v2, which `go tool trace` reads.
//!
//! A [`Row`] says what a thread did when. A [`TraceWriter`] takes rows in the order of their times and writes generations,
//! each of which can be read without those before. Rows may be missing (a full buffer drops them): the writer keeps the state of
//! each task and thread as Go's reader does, and writes what makes the next row possible.
//!
//! ```
//! use runtime_dump::stack::Frame;
//! use runtime_dump::trace::{Event, Outcome, Row, TraceWriter};
//!
//! let mut trace = TraceWriter::new(Vec::new())?;
//! let main = Frame { function: "app::main".into(), file: "src/main.rs".into(), line: 7 };
//! let name = trace.stack(&[main]);
//! let reason = trace.text("sleep");
//! trace.begin_generation(1_000)?;
//! for (at_ns, event) in [
//!     (1_000, Event::Spawn { task: 1, name, by: name }),
//!     (2_000, Event::PollBegin { task: 1 }),
//!     (3_000, Event::PollEnd { task: 1, outcome: Outcome::Waits { reason, stack: name } }),
//! ] {
//!     trace.row(&Row { at_ns, thread: 100, event });
//! }
//! trace.end_generation()?;
//! assert!(trace.into_inner().starts_with(b"go 1.23 trace\0\0\0"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! In reading order:
//! * `row`: events as rows;
//! * `schedule`: the states of tasks, threads and procs, and what Go's reader wants to be told of their changes;
//! * `tables`: texts and stacks by number;
//! * `generation`: bytes of events, by thread;
//! * `writer`: the file.

mod generation;
mod row;
mod schedule;
mod tables;
mod writer;

pub use row::{Event, Outcome, Row, UserEvent, UserWhat};
pub use tables::{StackNumber, TextNumber};
pub use writer::TraceWriter;
