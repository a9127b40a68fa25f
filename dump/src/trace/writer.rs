//! The file: a header, and generations.

use super::TraceFormat;
use super::generation::Generation;
use super::row::{OldWait, Row};
use super::schedule::Schedule;
use super::tables::{LabelsNumber, StackNumber, Tables, TextNumber};
use crate::stack::Frame;
use std::io::{self, Write};

/// The oldest format version with stacks of tasks that wait already. Go's readers since 1.23 accept it. From a file
/// that was cut off they lose only the last generation.
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
    /// The number of generations so far.
    generations: u64,
    /// The time of the last event.
    last: u64,
}

impl<W: Write> TraceWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Errors of `out`.
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

    /// Returns the output.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> TraceFormat for TraceWriter<W> {
    fn text(&mut self, text: &str) -> TextNumber {
        self.tables.text(text)
    }

    fn message(&mut self, text: &str) -> TextNumber {
        self.tables.message(text)
    }

    fn stack(&mut self, frames: &[Frame]) -> StackNumber {
        self.tables.stack(frames)
    }

    fn labels(&mut self, labels: &[(&str, &str)]) -> LabelsNumber {
        self.tables.labels(labels)
    }

    fn alive(
        &mut self,
        task: u64,
        name: StackNumber,
        waits: Option<OldWait>,
        labels: LabelsNumber,
    ) {
        if self.generations == 0 {
            self.schedule
                .alive(task, name, waits.map(|waits| waits.stack), labels);
        }
    }

    fn worker(&mut self, thread: u64) {
        self.schedule.worker(thread);
    }

    fn thread_ended(&mut self, thread: u64) {
        let at_ns = self.last;
        if let Some(generation) = &mut self.generation {
            self.schedule
                .thread_ended(at_ns, thread, generation, &mut self.tables);
        }
    }

    fn begin_generation(&mut self, at_ns: u64) -> io::Result<()> {
        self.end_generation()?;
        self.generations += 1;
        self.last = (self.last + 1).max(at_ns);
        let mut generation = Generation::new(self.generations, self.last);
        self.schedule.begin(&mut generation, &mut self.tables);
        self.generation = Some(generation);
        Ok(())
    }

    fn row(&mut self, row: &Row) {
        if let Some(generation) = &mut self.generation {
            self.schedule.row(row, generation, &mut self.tables);
            self.last = generation.last();
        }
    }

    fn end_generation(&mut self) -> io::Result<()> {
        let Some(mut generation) = self.generation.take() else {
            return Ok(());
        };
        self.tables.write(&mut generation);
        generation.write_to(&mut self.out)?;
        self.out.flush()
    }
}
