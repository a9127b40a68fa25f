//! All tasks at one moment, for readers outside of this crate: what is known of each without its stack, times as durations
//! back from that moment.

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

/// A task's id: tokio's own, to which it can be compared, or above 9 * 10^15 one of ours, for what is no task of tokio's. No
/// other task of the process has or had it.
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
    /// The number, as tokio writes it.
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

/// What is known of a task, see [`task_facts`](crate::pprof::task_facts).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskFacts {
    /// Which it is.
    pub id: TaskId,
    /// What kind of task it is.
    pub kind: TaskKind,
    /// As the user named it.
    pub name: Option<Arc<str>>,
    /// Where it was spawned.
    pub location: Option<&'static Location<'static>>,
    /// The task that spawned it; it may have ended.
    pub parent: Option<TaskId>,
    /// The type of its future, as `std::any::type_name` has it. `None` for a task that a dependency spawned.
    pub type_name: Option<&'static str>,
    /// How large that future is, in bytes, as the user wrote it: without what the probe and tokio put around it.
    pub size: Option<usize>,
    /// How long ago it was spawned.
    pub age: Duration,
    /// What it is doing.
    pub state: TaskState,
    /// For how long it has been doing that.
    pub since: Duration,
    /// How long ago it was woken last; before the first wake, how long ago it was spawned. `None` where that is not known:
    /// for a closure, for tasks of dependencies, and after a wake during a poll.
    pub last_wake: Option<Duration>,
    /// How often it was polled, the poll that lasts included.
    pub polls: u64,
    /// How long its polls took in all, without the one that lasts.
    pub busy: Duration,
    /// How long it was ready and not polled, in all, without the time that it is now: for a closure always, for a task as long as
    /// that is [tracked](crate::pprof::track_ready_time), and zero for tasks of dependencies.
    pub ready: Duration,
    /// Polls in which the task woke itself; it counts 2^26 at the most.
    pub self_wakes: u64,
    /// How many wakers of it there are; without one nothing can wake it. `None` where there is no count: for a closure and for
    /// tasks of dependencies.
    pub wakers: Option<usize>,
}

/// What kind of task it is.
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
    /// A task that a dependency spawned by plain tokio.
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

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled; a closure runs.
    Running,
    /// It was woken, or spawned, and is not polled yet.
    Runnable,
    /// It waits to be woken.
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
        // One that has just begun may have no stamp of it yet, which is read as now.
        (Kind::Blocking, TaskState::Running) => ago(view.spawned).saturating_sub(ago(view.since)),
        _ => Duration::from_nanos(scale.ns(view.delay)),
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
