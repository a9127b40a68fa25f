//! One task of a dump. Go's term is goroutine.
//!
//! A dump consists of tables (stacks, sites) and a row per task that points into them. Rows are passed to the encoders
//! one by one, so the text of a dump of a million tasks is never in memory as a whole.
//!
//! * [`notes`]: the notes on a task;
//! * [`text`]: a block of text for each task, Go's `debug=2`;
//! * [`json`]: an object of JSON for each task;
//! * [`samples`]: a sample of `profile.proto` for each task, `debug=3`.

pub mod json;
pub mod notes;
pub mod samples;
pub mod text;

use crate::stack::{Mapping, Site, Stack};

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// The task is being polled, or is a blocking closure that runs.
    Running,
    /// The task was woken or is new, and waits for a worker.
    Runnable,
    /// The task waits to be woken.
    Waiting,
}

impl State {
    /// The word for the state in the texts: `running`, `runnable`, `waiting`.
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
    /// The task that spawned this one.
    pub parent: Option<u64>,
    /// The state.
    pub state: State,
    /// The text in the brackets of the header: `running`, `runnable`, or the wait reason.
    pub reason: &'a str,
    /// Nanoseconds in this state.
    pub since_ns: u64,
    /// The number of polls, the current one included.
    pub polls: u64,
    /// Nanoseconds spent inside polls.
    pub busy_ns: u64,
    /// The name that the user gave the task.
    pub name: Option<&'a str>,
    /// The labels that the user gave the task, as keys and values, in the order of the keys.
    pub labels: &'a [(&'a str, &'a str)],
    /// Further notes ("nothing can wake this task", "on worker tokio-runtime-worker-3"). Each note is a part of a
    /// sentence, without a line break.
    pub notes: &'a [&'a str],
    /// The tasks whose ends this task waits for. The texts show them among the notes.
    pub joins: &'a [Join],
    /// Index into [`Tables::stacks`].
    pub stack: u32,
    /// Index into [`Tables::sites`]. `None` for a task that was not spawned (the root of a `block_on`).
    pub site: Option<u32>,
}

impl<'a> Goroutine<'a> {
    /// The text in the brackets: the reason, or the state's word if the reason is empty.
    pub(crate) fn brackets(&self) -> &'a str {
        if self.reason.is_empty() {
            self.state.word()
        } else {
            self.reason
        }
    }
}

/// A wait for the end of other tasks, through a `JoinHandle` or a `JoinSet`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Join {
    /// The number of tasks and results in a `JoinSet`, any of which may end the wait; `None` for a `JoinHandle`.
    pub members: Option<u64>,
    /// The task, or the first tasks of the set.
    pub tasks: Vec<JoinedTask>,
}

/// A task whose end another task waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinedTask {
    /// The id, as in [`Goroutine::id`].
    pub id: u64,
    /// The name that the user gave the task, otherwise the name of its future. `None` if the task has ended.
    pub name: Option<String>,
}

/// Tasks with one stack and one spawn site. The texts have one block for all of them.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The task with the longest time in its state. Its notes are the common notes of all tasks of the group.
    pub example: Goroutine<'a>,
    /// The number of tasks.
    pub count: u64,
    /// The tasks with the longest times in their states: id and nanoseconds, the longest first.
    pub longest: &'a [(u64, u64)],
}

/// The tables that the rows of a dump point into.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Distinct stacks.
    pub stacks: Vec<Stack>,
    /// Distinct spawn sites.
    pub sites: Vec<Site>,
    /// Executable mappings of the process, the main binary first.
    pub mappings: Vec<Mapping>,
    /// Wall-clock time of the snapshot, in nanoseconds since 1970.
    pub time_ns: i64,
}
