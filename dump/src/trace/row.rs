//! Events as rows.

use super::tables::{LabelsNumber, StackNumber, TextNumber};

/// An event of a thread, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Nanoseconds since a fixed moment of the past; above 0.
    pub at_ns: u64,
    /// The kernel's id of the thread.
    pub thread: u64,
    /// The event.
    pub event: Event,
}

/// The wait of a task that waits when the trace begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldWait {
    /// The reason, if it is known. Go's format has no place for it.
    pub reason: Option<TextNumber>,
    /// The stack.
    pub stack: StackNumber,
}

/// An event of a thread. Tasks are numbers above 0 and below 2^63, as in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The thread spawns a task, which is runnable.
    Spawn {
        /// The new task.
        task: u64,
        /// A stack whose last frame's function is the name of the task.
        name: StackNumber,
        /// The stack of the spawn.
        by: StackNumber,
        /// The labels of the spawner.
        labels: LabelsNumber,
    },
    /// The labels of a task change. Go's format shows them from the next poll on, or in the current poll if none is
    /// removed.
    Labels {
        /// The task.
        task: u64,
        /// All labels of the task.
        labels: LabelsNumber,
    },
    /// The thread begins to poll a task. Polls on one thread nest.
    PollBegin {
        /// The task.
        task: u64,
    },
    /// The poll ends, and so do the polls inside it.
    PollEnd {
        /// The task.
        task: u64,
        /// The result of the poll.
        outcome: Outcome,
    },
    /// The thread begins a closure of the blocking pool. Go's format shows a system call, which holds no proc.
    /// [`Event::PollEnd`] ends the closure.
    ClosureBegin {
        /// The closure.
        task: u64,
        /// The stack of the closure, for the profile of system calls.
        stack: StackNumber,
    },
    /// The thread wakes a task. A wake of a waiting task makes it runnable; a wake during its poll does so when the
    /// poll ends.
    Wake {
        /// The task that is woken.
        task: u64,
        /// The stack of the waker.
        stack: StackNumber,
    },
    /// The thread drops a task that has not finished.
    Drop {
        /// The task.
        task: u64,
    },
    /// A worker parks: no task is runnable.
    Park,
    /// A worker unparks.
    Unpark,
    /// A user event, in the task that the thread polls. A thread outside of any task has its own goroutine for user
    /// events.
    User(UserEvent),
    /// The polled task blocks its thread (`block_in_place`). Go's format shows a system call, which holds no proc.
    /// [`Event::InPlaceEnd`] or the end of the poll ends it.
    InPlaceBegin,
    /// The end of `block_in_place`: the polled task runs again.
    InPlaceEnd,
    /// The thread has used the CPU for one more period of a CPU profile.
    CpuSample {
        /// The task that the thread polls; 0 for none.
        task: u64,
        /// The stack at the sample.
        stack: StackNumber,
    },
    /// The memory of the process that is allocated and not freed has a new size. Go's timeline shows it as the heap.
    HeapInUse {
        /// The size.
        bytes: u64,
    },
    /// A counter of the process has a new value.
    Counter {
        /// The name of the counter.
        name: TextNumber,
        /// The value. Go's format does not record it.
        value: u64,
    },
}

/// A user event: a task, region or log of Go's `runtime/trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserEvent {
    /// The user task; 0 for none.
    pub user_task: u64,
    /// The kind of the event.
    pub what: UserWhat,
    /// The stack of the task. Outside of any task, the name of the thread.
    pub stack: StackNumber,
}

/// The kind of a user event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserWhat {
    /// The user task begins.
    TaskBegin {
        /// The user task around this one; 0 for none.
        parent: u64,
        /// The name.
        name: TextNumber,
    },
    /// The user task ends.
    TaskEnd,
    /// A region of the polled task begins. Regions go on during waits.
    RegionBegin {
        /// The name.
        name: TextNumber,
    },
    /// The thread begins to wait for another one. That is a region until [`UserWhat::RegionEnd`] of this name. A task
    /// that the thread polls goes on to run, by Go's states. Outside of any task, the thread waits.
    Blocks {
        /// The name.
        name: TextNumber,
        /// The reason of the wait.
        reason: TextNumber,
        /// The stack of the thread.
        at: StackNumber,
    },
    /// The innermost region of this name ends. If regions of one task overlap, the inner one is ended with the outer
    /// one and begun again, so that they nest.
    RegionEnd {
        /// The name.
        name: TextNumber,
    },
    /// A message.
    Log {
        /// The category.
        category: TextNumber,
        /// The text; [`TraceFormat::message`](super::TraceFormat::message) is for texts that are used once.
        message: TextNumber,
    },
}

/// The result of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task waits.
    Waits {
        /// The reason, any text. Go's tools group `network`, `sleep`, `sync`, `chan receive` and the like.
        reason: TextNumber,
        /// The stack of the wait.
        stack: StackNumber,
    },
    /// The task is runnable again: a wake arrived during the poll.
    Yields {
        /// The stack.
        stack: StackNumber,
    },
    /// The task has finished, or has panicked.
    Ends,
}
