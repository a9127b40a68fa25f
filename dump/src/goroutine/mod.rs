//! One task of a dump, in Go's terms a goroutine.
//!
//! A dump is tables (stacks, sites) and a row per task that points into them. Rows are handed to the encoders one by
//! one, so that a dump of a million tasks is never in memory as text.
//!
//! * [`text`]: a block of text for each task, Go's `debug=2`;
//! * [`json`]: an object of JSON for each task;
//! * [`samples`]: a sample of `profile.proto` for each task, `debug=3`.

pub mod json;
pub mod samples;
pub mod text;

use crate::stack::{Mapping, Site, Stack};

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Being polled, or a blocking closure that runs.
    Running,
    /// Woken or new, waiting for a worker.
    Runnable,
    /// Waiting to be woken.
    Waiting,
}

impl State {
    /// As the texts have it: `running`, `runnable`, `waiting`.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Runnable => "runnable",
            State::Waiting => "waiting",
        }
    }
}

/// One task.
#[derive(Clone, Debug)]
pub struct Goroutine<'a> {
    /// tokio's task id, or an id of the probe's own range.
    pub id: u64,
    /// The task that spawned it.
    pub parent: Option<u64>,
    /// What it is doing.
    pub state: State,
    /// What stands in the brackets of the header: `running`, `runnable`, or the wait reason.
    pub reason: &'a str,
    /// Nanoseconds in this state.
    pub since_ns: u64,
    /// Completed and current polls.
    pub polls: u64,
    /// Nanoseconds spent inside polls.
    pub busy_ns: u64,
    /// The name that the user gave it.
    pub name: Option<&'a str>,
    /// Keys and values that the user gave it, in the order of the keys.
    pub labels: &'a [(&'a str, &'a str)],
    /// What else is known ("nothing can wake this task", "on worker tokio-runtime-worker-3"); each one sentence part
    /// without a line break.
    pub notes: &'a [&'a str],
    /// The ends that it waits for; the texts have them among the notes.
    pub joins: &'a [Join],
    /// Index into [`Tables::stacks`].
    pub stack: u32,
    /// Index into [`Tables::sites`]; `None` for a task without a spawn (the root of a `block_on`).
    pub site: Option<u32>,
}

impl<'a> Goroutine<'a> {
    /// What stands in the brackets: the reason, or the state's word where none is given.
    pub(crate) fn brackets(&self) -> &'a str {
        if self.reason.is_empty() {
            self.state.word()
        } else {
            self.reason
        }
    }
}

/// What a task waits for in a `JoinHandle` or a `JoinSet`: the end of others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Join {
    /// The number of tasks and results in a `JoinSet`, of which any may end the wait; `None` for a `JoinHandle`.
    pub members: Option<u64>,
    /// The task, or the first of the set.
    pub tasks: Vec<JoinedTask>,
}

/// A task whose end another one waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinedTask {
    /// As [`Goroutine::id`] has it.
    pub id: u64,
    /// The user's name of the task, or else its future; `None` if the task has ended meanwhile.
    pub name: Option<String>,
}

/// Tasks of one stack, spawned at one place: one block of text for all of them.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The task that is the longest in its state. Its notes are those that all tasks of the group have.
    pub example: Goroutine<'a>,
    /// How many there are.
    pub count: u64,
    /// The tasks that are the longest in their state: id and nanoseconds, the longest first.
    pub longest: &'a [(u64, u64)],
}

/// What the rows of a dump point into.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Distinct stacks.
    pub stacks: Vec<Stack>,
    /// Distinct spawn sites.
    pub sites: Vec<Site>,
    /// Executable mappings of the process, the main binary first.
    pub mappings: Vec<Mapping>,
    /// Wall-clock time of the snapshot, nanoseconds since 1970.
    pub time_ns: i64,
}
