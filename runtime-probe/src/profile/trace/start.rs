//! The states that tasks have when a trace begins.
//!
//! Records are read one after another while events are already recorded. So the events between the begin of a task's
//! state and the end of the reading are applied to that state.

use super::naming::SpawnedAt;
use crate::ask::trace_session as trace;
use crate::clock::{self, Ticks};
use crate::labels::LabelSet;
use crate::registry::task::{Kind, Spawn, View, Waking};
use crate::snapshot::state::{Doing, State};
use crate::source::trace::{Ended, Happened, RecordName, Said, What};
use crate::stack::wait_set::WaitSet;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The states of all tasks.
pub(super) struct Start {
    tasks: BTreeMap<RecordName, Task>,
    /// When all records had been read.
    pub(super) looked: Ticks,
}

/// A live task.
#[derive(Clone, Copy)]
pub(super) struct Task {
    pub(super) id: u64,
    pub(super) site: SpawnedAt,
    pub(super) state: Begun,
    pub(super) labels: LabelSet,
    since: Ticks,
}

/// The state of a task.
#[derive(Clone, Copy)]
pub(super) enum Begun {
    Runnable,
    Waits(Option<&'static WaitSet>),
    Polled {
        thread: u64,
        since: Ticks,
        /// Whether the poll has no entries: it began before the trace.
        is_older: bool,
        is_closure: bool,
    },
}

/// The spawn site of a task.
pub(super) fn site(view: &View) -> SpawnedAt {
    SpawnedAt {
        spawn: view.location.map(|location| Spawn {
            location,
            pc: view.pc,
            parent: 0,
        }),
        meta: view.meta,
    }
}

impl Start {
    /// Reads all tasks.
    pub(super) fn take() -> Self {
        let threads = trace::threads();
        let mut tasks = BTreeMap::new();
        for view in trace::views() {
            if view.kind == Kind::Nested {
                continue;
            }
            // The entry of a foreign task's poll comes at its end, so its begin is not looked up.
            let Doing { state, since, by } = Doing::of(&view, &HashMap::new());
            let state = match (state, by) {
                (State::Running | State::Blocking, Waking::Thread(number)) => {
                    match threads.get(&number.0) {
                        Some(thread) => Begun::Polled {
                            thread: thread.tid.into(),
                            since,
                            is_older: true,
                            is_closure: state == State::Blocking,
                        },
                        None => Begun::Runnable,
                    }
                }
                (State::Waiting, _) => Begun::Waits(view.waits),
                _ => Begun::Runnable,
            };
            let task = Task {
                id: view.id,
                site: site(&view),
                state,
                labels: view.labels,
                since,
            };
            tasks.insert(RecordName::of(&view), task);
        }
        Start {
            tasks,
            looked: clock::ticks(),
        }
    }

    /// The tasks at the moment `looked`: with the events until then.
    pub(super) fn followed<'h>(
        self,
        happened: impl Iterator<Item = (&'h Happened, &'h u64)>,
    ) -> BTreeMap<RecordName, Task> {
        let mut tasks = self.tasks;
        let mut polls: HashMap<u64, Vec<RecordName>> = HashMap::new();
        let set = |tasks: &mut BTreeMap<RecordName, Task>, record, at, state| {
            if let Some(task) = tasks.get_mut(&record)
                && at > task.since
            {
                (task.state, task.since) = (state, at);
            }
        };
        for (happened, id) in happened {
            let (at, thread) = (happened.at, u64::from(happened.thread));
            match happened.what {
                What::Spawn {
                    record,
                    site,
                    labels,
                    ..
                } => {
                    let is_news = tasks.get(&record).is_none_or(|task| at > task.since);
                    if is_news {
                        let task = Task {
                            id: *id,
                            site: site.into(),
                            state: Begun::Runnable,
                            labels,
                            since: at,
                        };
                        tasks.insert(record, task);
                    }
                }
                What::PollBegin { record, .. } | What::ClosureBegin { record, .. } => {
                    polls.entry(thread).or_default().push(record);
                    let polled = Begun::Polled {
                        thread,
                        since: at,
                        is_older: false,
                        is_closure: matches!(happened.what, What::ClosureBegin { .. }),
                    };
                    // The poll's end has an entry, also if the record showed its begin.
                    match tasks.get_mut(&record) {
                        Some(task) if at <= task.since => {
                            if let Begun::Polled { is_older, .. } = &mut task.state {
                                *is_older = false;
                            }
                        }
                        _ => set(&mut tasks, record, at, polled),
                    }
                }
                What::PollEnd(ended) => {
                    let Some(record) = polls.entry(thread).or_default().pop() else {
                        continue;
                    };
                    match ended {
                        Ended::Waits(waits) => set(&mut tasks, record, at, Begun::Waits(waits)),
                        Ended::Yields(_) => set(&mut tasks, record, at, Begun::Runnable),
                        Ended::Finished => remove(&mut tasks, record, at),
                    }
                }
                What::ForeignPoll { record, .. } => {
                    polls.entry(thread).or_default().pop();
                    set(&mut tasks, record, at, Begun::Waits(None));
                }
                What::Wake(record) => {
                    if let Some(Begun::Waits(_)) = tasks.get(&record).map(|task| task.state) {
                        set(&mut tasks, record, at, Begun::Runnable);
                    }
                }
                What::Dropped { record, .. } => remove(&mut tasks, record, at),
                // All changes up to now are applied, so the last one counts.
                What::Said(Said::Labels { record, now, .. }) => {
                    if let Some(task) = tasks.get_mut(&record) {
                        task.labels = now;
                    }
                }
                What::Park | What::Unpark | What::Said(_) | What::InPlace(_) => {}
            }
        }
        tasks
    }

    /// The tasks at an earlier moment, by the events after it: the first event of a task shows its state before. A task
    /// that was polled at that moment is in `open`, if the begin or the end of the poll tells.
    pub(super) fn back_at(mut self, moment: Ticks, happened: &[Happened], open: OpenPolls) -> Self {
        let open = open.confirmed_by(happened);
        // Tasks that have ended since, before their record was reused.
        let mut ended: HashMap<RecordName, (u64, SpawnedAt)> = HashMap::new();
        // By task that lived at that moment: its labels then, if they changed or the task ended since.
        let mut labels: HashMap<RecordName, LabelSet> = HashMap::new();
        let mut spawned: HashSet<RecordName> = HashSet::new();
        for happened in happened {
            match happened.what {
                What::Spawn { record, .. } => drop(spawned.insert(record)),
                What::Dropped {
                    record,
                    id,
                    site,
                    labels: last,
                } if !spawned.contains(&record) => {
                    ended.entry(record).or_insert((id, site.into()));
                    labels.entry(record).or_insert(last);
                }
                What::Said(Said::Labels { record, before, .. }) if !spawned.contains(&record) => {
                    labels.entry(record).or_insert(before);
                }
                _ => {}
            }
        }
        let mut seen = HashSet::new();
        for happened in happened {
            let (record, state) = match happened.what {
                What::PollBegin { record, .. } | What::ClosureBegin { record, .. } => {
                    (record, Some(Begun::Runnable))
                }
                What::Wake(record) | What::Dropped { record, .. } => {
                    (record, Some(Begun::Waits(None)))
                }
                What::Spawn { record, .. } => (record, None),
                What::PollEnd(_)
                | What::ForeignPoll { .. }
                | What::Park
                | What::Unpark
                | What::Said(_)
                | What::InPlace(_) => continue,
            };
            if !seen.insert(record) {
                continue;
            }
            let known = match ended.get(&record) {
                Some((id, site)) => Some((*id, *site)),
                None => self.tasks.get(&record).map(|task| (task.id, task.site)),
            };
            match (state, known) {
                (Some(state), Some((id, site))) => {
                    let now = self.tasks.get(&record).map(|task| task.labels);
                    let task = Task {
                        id,
                        site,
                        state,
                        labels: now.unwrap_or_default(),
                        since: moment,
                    };
                    self.tasks.insert(record, task);
                }
                _ => drop(self.tasks.remove(&record)),
            }
        }
        for (record, labels) in labels {
            if let Some(task) = self.tasks.get_mut(&record) {
                task.labels = labels;
            }
        }
        for (thread, polls) in open {
            // Those of a `block_on` inside of a poll are later in the list.
            for (depth, poll) in (0..).zip(polls) {
                let Some(task) = self.tasks.get_mut(&poll.record) else {
                    continue;
                };
                if poll.has_end || matches!(task.state, Begun::Polled { .. }) {
                    task.since = moment;
                    task.state = Begun::Polled {
                        thread,
                        since: moment + depth,
                        is_older: false,
                        is_closure: poll.is_closure,
                    };
                }
            }
        }
        self.looked = moment;
        self
    }
}

/// A poll that is under way.
#[derive(Clone, Copy)]
struct OpenPoll {
    record: RecordName,
    is_closure: bool,
    /// Whether its end was seen later.
    has_end: bool,
}

impl OpenPoll {
    fn new(record: RecordName, is_closure: bool) -> Self {
        OpenPoll {
            record,
            is_closure,
            has_end: false,
        }
    }
}

/// By thread: the polls that are under way, the innermost last.
#[derive(Default)]
pub(super) struct OpenPolls(HashMap<u64, Vec<OpenPoll>>);

impl OpenPolls {
    /// The polls that are under way after these events.
    pub(super) fn after(happened: &[Happened]) -> Self {
        let mut open = OpenPolls::default();
        for happened in happened {
            open.follow(happened);
        }
        open
    }

    /// Returns the poll that this event ends, if it is known.
    fn follow(&mut self, happened: &Happened) -> Option<OpenPoll> {
        let polls = self.0.entry(happened.thread.into()).or_default();
        if is_outside(&happened.what) {
            // The ends of polls that are still open were lost.
            polls.clear();
        }
        match happened.what {
            What::PollBegin { record, .. } => polls.push(OpenPoll::new(record, false)),
            What::ClosureBegin { record, .. } => polls.push(OpenPoll::new(record, true)),
            What::PollEnd(_) | What::ForeignPoll { .. } => return polls.pop(),
            _ => {}
        }
        None
    }

    /// The polls of these that have an end in these later events or are still open after them, and those whose end alone
    /// is known: a poll that finishes its task is followed by the drop of the task.
    fn confirmed_by(mut self, happened: &[Happened]) -> HashMap<u64, Vec<OpenPoll>> {
        let mut begun = OpenPolls::default();
        let mut ended: HashMap<u64, Vec<OpenPoll>> = HashMap::new();
        // The threads whose last event is the end of a poll that is not known, in which a task finished.
        let mut finished: HashSet<u64> = HashSet::new();
        for happened in happened {
            let thread = u64::from(happened.thread);
            let has_finished = finished.remove(&thread);
            if is_outside(&happened.what) {
                self.0.remove(&thread);
            }
            let known = begun.follow(happened);
            let older = match happened.what {
                What::PollEnd(how) if known.is_none() => {
                    let older = self.0.get_mut(&thread).and_then(Vec::pop);
                    if older.is_none() && matches!(how, Ended::Finished) {
                        finished.insert(thread);
                    }
                    older
                }
                What::Dropped { record, .. } if has_finished => Some(OpenPoll::new(record, false)),
                _ => None,
            };
            let has_end = true;
            let older = older.map(|poll| OpenPoll { has_end, ..poll });
            // The inner polls end first.
            ended.entry(thread).or_default().splice(0..0, older);
        }
        for (thread, open) in self.0 {
            ended.entry(thread).or_default().splice(0..0, open);
        }
        ended
    }
}

/// Whether no poll of the thread is under way before this event.
fn is_outside(what: &What) -> bool {
    match what {
        What::PollBegin { inside, .. } => !inside,
        What::ClosureBegin { .. } | What::Park | What::Unpark => true,
        _ => false,
    }
}

fn remove(tasks: &mut BTreeMap<RecordName, Task>, record: RecordName, at: Ticks) {
    if tasks.get(&record).is_some_and(|task| at > task.since) {
        tasks.remove(&record);
    }
}
