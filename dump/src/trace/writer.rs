//! The file: a header, and generations.

use super::generation::Generation;
use super::row::Row;
use super::schedule::Schedule;
use super::tables::{StackNumber, Tables, TextNumber};
use crate::stack::Frame;
use std::io::{self, Write};

/// The oldest version with stacks of what waits already. Go's readers since 1.23 take it, and lose no more than the last
/// generation of a file that was cut off.
const HEADER: &[u8; 16] = b"go 1.23 trace\0\0\0";

/// Writes an execution trace in Go's format v2, one generation after another.
///
/// A generation is kept in memory, about 7 bytes an event, until it ends.
#[derive(Debug)]
pub struct TraceWriter<W> {
    out: W,
    tables: Tables,
    schedule: Schedule,
    generation: Option<Generation>,
    /// How many there were.
    generations: u64,
    /// The time of the last event.
    last: u64,
}

impl<W: Write> TraceWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(HEADER)?;
        Ok(TraceWriter {
            out,
            tables: Tables::default(),
            schedule: Schedule::default(),
            generation: None,
            generations: 0,
            last: 0,
        })
    }

    /// The number of a text; of more than 1024 bytes the last ones are kept.
    pub fn text(&mut self, text: &str) -> TextNumber {
        self.tables.text(text)
    }

    /// The number of a text that does not come again: it is good for the generation that is under way, or begins next. Of more
    /// than 1024 bytes the first ones are kept.
    pub fn message(&mut self, text: &str) -> TextNumber {
        self.tables.message(text)
    }

    /// The number of a stack, leaf first; of more than 128 frames the middle is left out.
    pub fn stack(&mut self, frames: &[Frame]) -> StackNumber {
        self.tables.stack(frames)
    }

    /// A task that lives when the trace begins; it waits where `waits` says, or is runnable. Ignored once a generation has
    /// begun.
    pub fn alive(&mut self, task: u64, name: StackNumber, waits: Option<StackNumber>) {
        if self.generations == 0 {
            self.schedule.alive(task, name, waits);
        }
    }

    /// A worker: it has a proc of its own from now on. The first one has the first proc.
    pub fn worker(&mut self, thread: u64) {
        self.schedule.worker(thread);
    }

    /// A thread has ended: another one may have its proc.
    pub fn thread_ended(&mut self, thread: u64) {
        let at_ns = self.last;
        if let Some(generation) = &mut self.generation {
            self.schedule
                .thread_ended(at_ns, thread, generation, &mut self.tables);
        }
    }

    /// Begins a generation, with the state that each task has; ends the one before, if it has not ended.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin_generation(&mut self, at_ns: u64) -> io::Result<()> {
        self.end_generation()?;
        self.generations += 1;
        self.last = (self.last + 1).max(at_ns);
        let mut generation = Generation::new(self.generations, self.last);
        self.schedule.begin(&mut generation, &mut self.tables);
        self.generation = Some(generation);
        Ok(())
    }

    /// Adds a row; ignored outside of a generation. A row that lies before the last one is moved behind it.
    pub fn row(&mut self, row: &Row) {
        if let Some(generation) = &mut self.generation {
            self.schedule.row(row, generation, &mut self.tables);
            self.last = generation.last();
        }
    }

    /// Ends the generation, and writes it.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end_generation(&mut self) -> io::Result<()> {
        let Some(mut generation) = self.generation.take() else {
            return Ok(());
        };
        self.tables.write(&mut generation);
        generation.write_to(&mut self.out)?;
        self.out.flush()
    }

    /// The output.
    pub fn into_inner(self) -> W {
        self.out
    }
}
