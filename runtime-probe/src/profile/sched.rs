//! The scheduler's state, for lines as Go's `schedtrace` prints them: workers are procs, tasks are goroutines.

use super::goroutine::Goroutines;
use super::selection::Selection;
use crate::registry::task::{Kind, Waking};
use crate::registry::threads;
use crate::source::metrics::{self, Activity};
use crate::sys::thread_status;
use runtime_dump::goroutine::State;
use runtime_dump::schedtrace::{Machine, Proc, Sched, Status, Task};
use std::collections::HashMap;
use std::thread::ThreadId;

/// The state of all runtimes that types of this crate hold; with threads and tasks for the detailed form.
pub(crate) fn sched(since_ms: u64, is_detailed: bool) -> Sched {
    let known = threads::alive();
    let thread_of: HashMap<ThreadId, u64> = known
        .values()
        .map(|(thread, _)| (thread.std_id, thread.tid.into()))
        .collect();
    let runtimes = metrics::all();
    let workers = runtimes.iter().flat_map(|runtime| &runtime.workers);
    let procs: Vec<Proc> = workers
        .map(|worker| Proc {
            is_idle: worker.activity != Activity::Awake,
            queue: worker.unstable.map_or(0, |counts| counts.local_queue),
            ticks: worker.unstable.map_or(worker.parks, |counts| counts.polls),
            thread: worker.thread.and_then(|id| thread_of.get(&id).copied()),
        })
        .collect();
    let idle_threads = runtimes.iter().filter_map(|runtime| runtime.blocking_idle);
    let mut sched = Sched {
        since_ms,
        procs,
        threads: thread_status::ids().len() as u64,
        idle_threads: idle_threads.sum(),
        queue: runtimes.iter().map(|runtime| runtime.global_queue).sum(),
        ..Sched::default()
    };
    if is_detailed {
        let tid = |number: u32| known.get(&number).map(|(thread, _)| u64::from(thread.tid));
        sched.tasks = tasks(tid);
        sched.machines = machines(&sched, known.values().map(|(thread, _)| thread.tid.into()));
    }
    sched
}

fn tasks(tid: impl Fn(u32) -> Option<u64>) -> Vec<Task> {
    let goroutines = Goroutines::collect(Selection::default());
    let mut tasks = Vec::new();
    goroutines.for_each(|row, kind, goroutine| {
        let status = match (goroutine.state, kind) {
            (State::Running, Kind::Blocking) => Status::Syscall,
            (State::Running, _) => Status::Running,
            (State::Runnable, _) => Status::Runnable,
            (State::Waiting, _) => Status::Waiting,
        };
        tasks.push(Task {
            id: goroutine.id,
            status,
            reason: match status {
                Status::Waiting => goroutine.reason.to_owned(),
                _ => String::new(),
            },
            thread: match row.by() {
                Waking::Thread(number) if goroutine.state == State::Running => tid(number.0),
                _ => None,
            },
        });
    });
    tasks
}

fn machines(sched: &Sched, threads: impl Iterator<Item = u64>) -> Vec<Machine> {
    let mut machines: Vec<Machine> = threads
        .map(|thread| {
            let is = |other: &Option<u64>| *other == Some(thread);
            let task = sched.tasks.iter().find(|task| is(&task.thread));
            Machine {
                thread,
                proc: sched.procs.iter().position(|proc| is(&proc.thread)),
                task: task.map(|task| task.id),
                is_blocked: task.is_none(),
            }
        })
        .collect();
    machines.sort_by_key(|machine| machine.thread);
    machines
}
