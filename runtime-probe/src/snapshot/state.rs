//! The state of a task, derived from the fields of its record. This is the only place that does so.

use crate::clock::Ticks;
use crate::registry::task::{Kind, View, Waking};
use crate::registry::threads::ThreadNumber;
use std::collections::HashMap;

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Running,
    Runnable,
    Waiting,
    /// A running closure of the blocking pool.
    Blocking,
    /// A closure in the queue of the blocking pool.
    Queued,
}

/// A state, with its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doing {
    pub(crate) state: State,
    pub(crate) since: Ticks,
    /// Of a running task: its thread. Of a runnable one: the source of its wake.
    pub(crate) by: Waking,
}

/// Foreign tasks that are being polled: the thread and the begin.
pub(crate) type ForeignRunning = HashMap<u64, (ThreadNumber, Ticks)>;

impl Doing {
    pub(crate) fn of(view: &View, foreign: &ForeignRunning) -> Self {
        let doing = |state, since, by| Doing { state, since, by };
        let on_its_thread = Waking::Thread(view.worker);
        match (view.kind, view.woken) {
            (Kind::Foreign, _) if foreign.contains_key(&view.id) => {
                let (thread, since) = foreign[&view.id];
                // The thread's last stamp may be older than the task.
                doing(
                    State::Running,
                    since.max(view.since),
                    Waking::Thread(thread),
                )
            }
            (Kind::Blocking, _) if view.polling => {
                doing(State::Blocking, view.since, on_its_thread)
            }
            (Kind::Blocking, _) => doing(State::Queued, view.spawned, Waking::Unknown),
            _ if view.polling => doing(State::Running, view.since, on_its_thread),
            (_, Some((at, waker))) => {
                let by = match view.polls {
                    0 => Waking::Unknown,
                    _ => waker,
                };
                doing(State::Runnable, at.max(view.since), by)
            }
            _ => doing(State::Waiting, view.since, Waking::Unknown),
        }
    }
}
