//! Lines of the scheduler's state, as Go writes them with `GODEBUG=schedtrace=1000,scheddetail=1`.
//!
//! ```
//! use runtime_dump::schedtrace::{Proc, Sched};
//!
//! let sched = Sched {
//!     since_ms: 1000,
//!     procs: vec![Proc { queue: 3, ticks: 40, ..Proc::default() }],
//!     threads: 4,
//!     ..Sched::default()
//! };
//! assert_eq!(
//!     sched.line(),
//!     "SCHED 1000ms: gomaxprocs=1 idleprocs=0 threads=4 spinningthreads=0 needspinning=0 idlethreads=0 runqueue=0 \
//!      [ 3 ] schedticks=[ 40 ]"
//! );
//! ```

use std::fmt::Write as _;

/// The state of the schedulers of all runtimes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sched {
    /// Milliseconds since the first line.
    pub since_ms: u64,
    /// The workers.
    pub procs: Vec<Proc>,
    /// The number of threads of the process.
    pub threads: u64,
    /// The number of idle threads of blocking pools.
    pub idle_threads: u64,
    /// The number of tasks in the queues that all workers of a runtime share.
    pub queue: u64,
    /// The threads, each with the task that it runs. Used by the detailed form only.
    pub machines: Vec<Machine>,
    /// The tasks. Used by the detailed form only.
    pub tasks: Vec<Task>,
}

/// A worker.
#[derive(Clone, Debug, Default)]
pub struct Proc {
    /// Whether the worker is parked.
    pub is_idle: bool,
    /// The number of tasks in the worker's own queue.
    pub queue: u64,
    /// The number of polls of tasks, or the number of parks where polls are not counted.
    pub ticks: u64,
    /// The kernel's id of the worker's thread.
    pub thread: Option<u64>,
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel's id.
    pub thread: u64,
    /// The index of the worker that runs on this thread.
    pub proc: Option<usize>,
    /// The task that the thread polls.
    pub task: Option<u64>,
    /// Whether the thread has no task.
    pub is_blocked: bool,
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// The id.
    pub id: u64,
    /// The state.
    pub status: Status,
    /// The reason of the wait; empty in other states.
    pub reason: String,
    /// The thread that polls the task.
    pub thread: Option<u64>,
}

/// The state of a task, with Go's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The task was woken or is new, and waits for a worker.
    Runnable = 1,
    /// The task is being polled.
    Running = 2,
    /// A closure that runs on the blocking pool.
    Syscall = 3,
    /// The task waits to be woken.
    Waiting = 4,
}

impl Sched {
    /// The line of `schedtrace`, without an end of line.
    pub fn line(&self) -> String {
        let mut line = self.head();
        let list = |number: fn(&Proc) -> u64| -> String {
            let numbers = self.procs.iter().map(|proc| format!("{} ", number(proc)));
            numbers.collect()
        };
        let (queues, ticks) = (list(|proc| proc.queue), list(|proc| proc.ticks));
        let _ = write!(line, " [ {queues}] schedticks=[ {ticks}]");
        line
    }

    /// The lines of `scheddetail`, without the last end of line.
    pub fn detailed(&self) -> String {
        let mut lines = self.head();
        lines.push_str(" gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait=false");
        for (index, proc) in self.procs.iter().enumerate() {
            let _ = write!(
                lines,
                "\n  P{index}: status={} schedtick={} syscalltick=0 m={} runqsize={} gfreecnt=0 timerslen=0",
                u8::from(!proc.is_idle),
                proc.ticks,
                or_nil(proc.thread),
                proc.queue,
            );
        }
        for machine in &self.machines {
            let _ = write!(
                lines,
                "\n  M{}: p={} curg={} mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=false blocked={} lockedg=nil",
                machine.thread,
                or_nil(machine.proc),
                or_nil(machine.task),
                machine.is_blocked,
            );
        }
        for task in &self.tasks {
            let _ = write!(
                lines,
                "\n  G{}: status={}({}) m={} lockedm=nil",
                task.id,
                task.status as u8,
                task.reason,
                or_nil(task.thread),
            );
        }
        lines
    }

    fn head(&self) -> String {
        format!(
            "SCHED {}ms: gomaxprocs={} idleprocs={} threads={} spinningthreads=0 needspinning=0 idlethreads={} runqueue={}",
            self.since_ms,
            self.procs.len(),
            self.procs.iter().filter(|proc| proc.is_idle).count(),
            self.threads,
            self.idle_threads,
            self.queue,
        )
    }
}

fn or_nil(number: Option<impl std::fmt::Display>) -> String {
    number.map_or_else(|| "nil".to_owned(), |number| number.to_string())
}
