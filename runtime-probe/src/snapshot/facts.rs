//! A copy of all tasks for readers outside of this crate, without stacks. Times are durations before the moment of the
//! copy.

use super::state::{Doing, ForeignRunning, State};
use super::tasks::{foreign_running, known};
use crate::clock::Scale;
use crate::registry::names::{self, NameNumber};
use crate::registry::slab;
use crate::registry::task::{Kind, View};
use crate::registry::threads;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A task's id: tokio's id, to which it can be compared, or an id of the probe above 9 * 10^15, for an entry that is no
/// task of tokio. It is unique in the process.
///
/// ```
/// use runtime_probe::pprof::TaskId;
///
/// # #[cfg(feature = "rt")]
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let task = runtime_probe::spawn(async {});
/// assert_eq!(TaskId::from(task.id()), task.id());
/// assert_eq!(TaskId::from(task.id()).to_string(), task.id().to_string());
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u64);

impl TaskId {
    /// The number, as tokio displays it.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for TaskId {
    fn from(number: u64) -> Self {
        TaskId(number)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The facts about a task, see [`task_facts`](crate::pprof::task_facts).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskFacts {
    /// The task's id.
    pub id: TaskId,
    /// The kind of a task.
    pub kind: TaskKind,
    /// The name that the user gave it.
    pub name: Option<Arc<str>>,
    /// The spawn location.
    pub location: Option<&'static Location<'static>>,
    /// The task that spawned it; it may have ended.
    pub parent: Option<TaskId>,
    /// The type of its future, by `std::any::type_name`. `None` for a foreign task.
    pub type_name: Option<&'static str>,
    /// The size of that future in bytes, without the wrappers of the probe and of tokio.
    pub size: Option<usize>,
    /// The time since its spawn.
    pub age: Duration,
    /// The current state.
    pub state: TaskState,
    /// The time in this state.
    pub since: Duration,
    /// The time since its last wake; before the first wake, since its spawn. `None` if not known: for a closure, for a
    /// foreign task, and after a wake during a poll.
    pub last_wake: Option<Duration>,
    /// The number of polls, including the one under way.
    pub polls: u64,
    /// The total time of its polls, without the one under way.
    pub busy: Duration,
    /// The total ready time, without the current one. For a task it is known while it is
    /// [tracked](crate::pprof::track_ready_time), for a closure always; zero for a foreign task.
    pub ready: Duration,
    /// The number of polls in which the task woke itself, up to 2^26.
    pub self_wakes: u64,
    /// The number of its wakers; without one, nothing can wake it. `None` if they are not counted: for a closure and
    /// for a foreign task.
    pub wakers: Option<usize>,
}

/// The kind of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// `spawn`.
    Task,
    /// `spawn_local`.
    Local,
    /// The root of a `block_on`.
    BlockOn,
    /// A future wrapped by [`instrument`](crate::pprof::instrument).
    Instrumented,
    /// The closure of a `spawn_blocking`.
    Blocking,
    /// A foreign task: a dependency spawned it through plain tokio.
    Foreign,
}

impl From<Kind> for TaskKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Task => TaskKind::Task,
            Kind::Local => TaskKind::Local,
            Kind::BlockOn => TaskKind::BlockOn,
            Kind::Nested => TaskKind::Instrumented,
            Kind::Blocking => TaskKind::Blocking,
            Kind::Foreign => TaskKind::Foreign,
        }
    }
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// The task is being polled, or the closure runs.
    Running,
    /// The task was woken or spawned, and was not polled since.
    Runnable,
    /// The task waits for a wake.
    Waiting,
}

/// Takes the copy.
pub(crate) fn take() -> Vec<TaskFacts> {
    let scale = Scale::now();
    let running = foreign_running(&threads::alive());
    let mut numbers = Vec::new();
    let mut all = Vec::new();
    slab::for_each(|record| {
        let Some(view) = known(record) else { return };
        if view.name != NameNumber(0) {
            numbers.push((all.len(), view.name));
        }
        all.push(facts(&view, &scale, &running));
    });
    let mut distinct: Vec<NameNumber> = numbers.iter().map(|(_, number)| *number).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let texts = names::texts(&distinct);
    for (task, number) in numbers {
        all[task].name = texts.get(&number).cloned();
    }
    all
}

fn facts(view: &View, scale: &Scale, running: &ForeignRunning) -> TaskFacts {
    let ago = |stamp| Duration::from_nanos(scale.since(stamp));
    let Doing { state, since, .. } = Doing::of(view, running);
    let state = match state {
        State::Running | State::Blocking => TaskState::Running,
        State::Runnable | State::Queued => TaskState::Runnable,
        State::Waiting => TaskState::Waiting,
    };
    let wakes_are_seen = !matches!(view.kind, Kind::Blocking | Kind::Foreign);
    let ready = match (view.kind, state) {
        // A closure that has just begun may have no timestamp yet, which is read as now.
        (Kind::Blocking, TaskState::Running) => ago(view.spawned).saturating_sub(ago(view.since)),
        _ => Duration::from_nanos(scale.ns(slab::measured(view).0)),
    };
    let last_wake = match state {
        TaskState::Runnable => Some(since),
        _ => Some(view.wake_at).filter(|at| *at != 0),
    };
    TaskFacts {
        id: TaskId(view.id),
        kind: view.kind.into(),
        name: None,
        location: view.location,
        parent: (view.parent != 0).then_some(TaskId(view.parent)),
        type_name: view.meta.map(|meta| meta.type_name()),
        size: view.meta.map(|meta| meta.size),
        age: ago(view.spawned),
        state,
        since: ago(since),
        last_wake: last_wake.filter(|_| wakes_are_seen).map(ago),
        polls: view.polls,
        busy: Duration::from_nanos(scale.ns(view.busy)),
        ready,
        self_wakes: view.self_wakes,
        wakers: wakes_are_seen.then_some(view.wakers),
    }
}
