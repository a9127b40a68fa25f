//! Execution traces: what tasks and threads did, in the order of time, as Go's trace format v2, which `go tool trace` reads, or as
//! Perfetto's protobuf.
//!
//! A [`Row`] says what a thread did when. A [`TraceFormat`] takes rows in the order of their times. A [`TraceWriter`] writes Go's
//! generations, each of which can be read without those before, a [`PerfettoWriter`] Perfetto's packets. Rows may be missing (a full buffer drops them): the writer keeps the state of
//! each task and thread as Go's reader does, and writes what makes the next row possible.
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
//! * `schedule`: the states of tasks, threads and procs, and what Go's reader wants to be told of their changes;
//! * `tables`: texts and stacks by number;
//! * `generation`: bytes of events, by thread;
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
pub use row::{Event, Outcome, Row, UserEvent, UserWhat};
pub use tables::{LabelsNumber, StackNumber, TextNumber};
pub use writer::TraceWriter;

/// Where rows go, in the order of their times.
pub trait TraceFormat {
    /// The number of a text; of more than 1024 bytes the last ones are kept.
    fn text(&mut self, text: &str) -> TextNumber;

    /// The number of a text that does not come again: it is good for the generation that is under way, or begins next. Of more
    /// than 1024 bytes the first ones are kept.
    fn message(&mut self, text: &str) -> TextNumber;

    /// The number of a stack, leaf first; of more than 128 frames the middle is left out.
    fn stack(&mut self, frames: &[Frame]) -> StackNumber;

    /// The number of a set of labels, keys and values.
    fn labels(&mut self, labels: &[(&str, &str)]) -> LabelsNumber;

    /// A task that lives when the trace begins; it waits where `waits` says, or is runnable. Ignored once a generation has
    /// begun.
    fn alive(
        &mut self,
        task: u64,
        name: StackNumber,
        waits: Option<StackNumber>,
        labels: LabelsNumber,
    );

    /// A worker. The first one has the first number.
    fn worker(&mut self, thread: u64);

    /// A thread has ended; ignored outside of a generation.
    fn thread_ended(&mut self, thread: u64);

    /// Begins a generation; ends the one before, if it has not ended.
    ///
    /// # Errors
    /// Those of the output.
    fn begin_generation(&mut self, at_ns: u64) -> io::Result<()>;

    /// Adds a row; ignored outside of a generation. A row that lies before the last one is moved behind it.
    fn row(&mut self, row: &Row);

    /// Ends the generation, and writes it.
    ///
    /// # Errors
    /// Those of the output.
    fn end_generation(&mut self) -> io::Result<()>;
}
