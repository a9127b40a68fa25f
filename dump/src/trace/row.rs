//! Events as rows.

use super::tables::{LabelsNumber, StackNumber, TextNumber};

/// What a thread did, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Nanoseconds since any moment of the past; above 0.
    pub at_ns: u64,
    /// The kernel's id of the thread.
    pub thread: u64,
    /// What it did.
    pub event: Event,
}

/// What a thread can do. Tasks are numbers above 0 and below 2^63, as in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It spawned a task, which is runnable.
    Spawn {
        /// The new task.
        task: u64,
        /// Names the task: the function of the last frame does.
        name: StackNumber,
        /// Where it was spawned.
        by: StackNumber,
        /// The labels of its spawner.
        labels: LabelsNumber,
    },
    /// A task has other labels from now on. Go's format shows them from its next poll on, or in this one where that takes none away.
    Labels {
        /// The task.
        task: u64,
        /// All that it has.
        labels: LabelsNumber,
    },
    /// It begins to poll a task. Polls on one thread nest.
    PollBegin {
        /// The task.
        task: u64,
    },
    /// The poll is over, and so are those inside it.
    PollEnd {
        /// The task.
        task: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// It begins a closure of the blocking pool: shown as a system call, in which no proc is held. [`Event::PollEnd`] ends it.
    ClosureBegin {
        /// The closure.
        task: u64,
        /// Of the closure, for the profile of system calls.
        stack: StackNumber,
    },
    /// It wakes a task. Counts where the task waits; in a poll it makes the task runnable when the poll ends.
    Wake {
        /// The task that is woken.
        task: u64,
        /// Of the waker.
        stack: StackNumber,
    },
    /// It drops a task that has not finished.
    Drop {
        /// The task.
        task: u64,
    },
    /// A worker has nothing to do.
    Park,
    /// A worker has something to do.
    Unpark,
    /// An event of the program in the task that the thread polls. A thread outside of any task has its own goroutine for it.
    User(UserEvent),
    /// The task that it polls blocks it (`block_in_place`): shown as a system call, in which no proc is held. [`Event::InPlaceEnd`] or
    /// the end of the poll ends it.
    InPlaceBegin,
    /// The task that it polls goes on as before.
    InPlaceEnd,
    /// It used the CPU for one more period of a CPU profile.
    CpuSample {
        /// The task that it polls; 0 for none.
        task: u64,
        /// Where it was.
        stack: StackNumber,
    },
    /// A number of the process, from now on.
    Counter {
        /// Which.
        name: TextNumber,
        /// Its value. Go's format has no place for it.
        value: u64,
    },
}

/// An event of the program: the tasks, regions and logs of Go's `runtime/trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserEvent {
    /// The user task; 0 for none.
    pub user_task: u64,
    /// What is said.
    pub what: UserWhat,
    /// The stack of the task; outside of any task, the name of the thread.
    pub stack: StackNumber,
}

/// What a program can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserWhat {
    /// The user task begins.
    TaskBegin {
        /// The user task around it; 0 for none.
        parent: u64,
        /// Its name.
        name: TextNumber,
    },
    /// The user task is over.
    TaskEnd,
    /// A part of the task that is polled begins, and goes on over its waits.
    RegionBegin {
        /// Its name.
        name: TextNumber,
    },
    /// The innermost region of that name is over. Regions of one task that overlap are shown as ones that nest: the inner
    /// one ends with the outer one, and begins anew.
    RegionEnd {
        /// Its name.
        name: TextNumber,
    },
    /// A message.
    Log {
        /// What kind of message.
        category: TextNumber,
        /// The text; [`TraceFormat::message`](super::TraceFormat::message) is for texts that do not come again.
        message: TextNumber,
    },
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task waits.
    Waits {
        /// For what: any text; Go's tools know `network`, `sleep`, `sync`, `chan receive` and the like.
        reason: TextNumber,
        /// Where.
        stack: StackNumber,
    },
    /// The task is runnable again: it was woken in its poll.
    Yields {
        /// Where.
        stack: StackNumber,
    },
    /// The task has finished, or has panicked.
    Ends,
}
