//! Execution traces: events of tasks and threads by time. The formats are Go's trace format v2, which `go tool trace`
//! reads, and Perfetto's protobuf.
//!
//! A [`Row`] is one event of a thread with its time. A [`TraceFormat`] takes rows in the order of their times. A
//! [`TraceWriter`] writes Go's generations, each of which can be read without the earlier ones. A [`PerfettoWriter`]
//! writes Perfetto's packets. Rows may be missing, because a full buffer drops them. The writer keeps the state of each
//! task and thread as Go's reader does, and inserts the events that make the next row valid.
//!
//! ```
//! use runtime_dump::stack::Frame;
//! use runtime_dump::trace::{Event, Outcome, Row, TraceFormat, TraceWriter};
//!
//! let mut trace = TraceWriter::new(Vec::new())?;
//! let main = Frame { function: "app::main".into(), file: "src/main.rs".into(), line: 7 };
//! let name = trace.stack(&[main]);
//! let reason = trace.text("sleep");
//! let labels = trace.labels(&[("route", "/order")]);
//! trace.begin_generation(1_000)?;
//! for (at_ns, event) in [
//!     (1_000, Event::Spawn { task: 1, name, by: name, labels }),
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
//! * `schedule`: the states of tasks, threads and procs, and the events that Go's reader needs for their changes;
//! * `tables`: texts and stacks by number;
//! * `generation`: encoding of events, by thread;
//! * `writer`: the file;
//! * `perfetto`: the same rows as Perfetto's packets.

mod generation;
mod perfetto;
mod row;
mod schedule;
mod tables;
mod writer;

use crate::stack::Frame;
use std::io;

pub use perfetto::PerfettoWriter;
pub use row::{Event, OldWait, Outcome, Row, UserEvent, UserWhat};
pub use tables::{LabelsNumber, StackNumber, TextNumber};
pub use writer::TraceWriter;

/// A format that rows are written in, in the order of their times.
pub trait TraceFormat {
    /// The number of a text. A text of more than 1024 bytes keeps its last bytes.
    fn text(&mut self, text: &str) -> TextNumber;

    /// The number of a text that is used once. The number is valid for the current or next generation. A text of more
    /// than 1024 bytes keeps its first bytes.
    fn message(&mut self, text: &str) -> TextNumber;

    /// The number of a stack, leaf first. A stack of more than 128 frames loses its middle.
    fn stack(&mut self, frames: &[Frame]) -> StackNumber;

    /// The number of a set of labels, given as keys and values.
    fn labels(&mut self, labels: &[(&str, &str)]) -> LabelsNumber;

    /// Adds a task that is alive when the trace begins. The task waits as `waits` says, or is runnable. The call is
    /// ignored after the first generation has begun.
    fn alive(&mut self, task: u64, name: StackNumber, waits: Option<OldWait>, labels: LabelsNumber);

    /// Adds a worker. Workers are numbered in the order of the calls.
    fn worker(&mut self, thread: u64);

    /// Records the end of a thread. The call is ignored outside of a generation.
    fn thread_ended(&mut self, thread: u64);

    /// Begins a generation, and ends the current one.
    ///
    /// # Errors
    /// Errors of the output.
    fn begin_generation(&mut self, at_ns: u64) -> io::Result<()>;

    /// Adds a row. The call is ignored outside of a generation. A row with a time before the last one is moved after
    /// it.
    fn row(&mut self, row: &Row);

    /// Ends the generation and writes it.
    ///
    /// # Errors
    /// Errors of the output.
    fn end_generation(&mut self) -> io::Result<()>;
}
