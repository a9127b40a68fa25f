//! The tasks, for all clients: when each was found, changed and missed.
//!
//! The model is filled by looks at the probe's records, at an interval, while a client is attached. It is dropped
//! with the last client. Each look has a number, and each task has the number of the look that found it changed. So a
//! client only needs the number of the last look whose changes it was sent (see [`crate::updates`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use runtime_probe::pprof::{self, ReadyTimeTracking, TaskFacts};
use tokio::sync::watch;

/// The most finished tasks that are kept: 300 B each, so 3 MB.
const MOST_FINISHED: usize = 10_000;

/// A client that attaches uses the last look if it is younger than this.
const FRESH: Duration = Duration::from_millis(50);

/// A task.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) facts: TaskFacts,
    /// When these facts were true.
    pub(crate) at: SystemTime,
    pub(crate) created_at: SystemTime,
    /// When a look first missed it.
    pub(crate) dropped_at: Option<SystemTime>,
    /// The number of the look that found it changed.
    pub(crate) changed: u64,
    /// The number of the last look that found it.
    found: u64,
}

/// All tasks.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) tasks: BTreeMap<u64, Known>,
    /// The number of the last look.
    pub(crate) look: u64,
    /// The time of that look.
    pub(crate) at: SystemTime,
    taken: Option<Instant>,
    /// Tasks that are gone, in the order in which their ends were found.
    finished: VecDeque<u64>,
    /// How many tasks have been forgotten.
    pub(crate) forgotten: u64,
    retention: Duration,
}

impl Model {
    fn new(retention: Duration) -> Model {
        Model {
            tasks: BTreeMap::new(),
            look: 0,
            at: SystemTime::UNIX_EPOCH,
            taken: None,
            finished: VecDeque::new(),
            forgotten: 0,
            retention,
        }
    }

    fn look(&mut self, all: Vec<TaskFacts>, at: SystemTime) {
        self.look += 1;
        self.at = at;
        self.taken = Some(Instant::now());
        let look = self.look;
        for facts in all {
            let known = self.tasks.entry(facts.id.as_u64());
            let known = known.or_insert_with(|| Known {
                created_at: at.checked_sub(facts.age).unwrap_or(at),
                at,
                dropped_at: None,
                changed: look,
                found: look,
                facts: facts.clone(),
            });
            known.found = look;
            // Missed by one look and found by the next: the first look met it while it changed.
            let back = known.dropped_at.take().is_some();
            if back || differs(&known.facts, &facts) {
                (known.facts, known.at, known.changed) = (facts, at, look);
            }
        }
        for (id, known) in &mut self.tasks {
            if known.found != look && known.dropped_at.is_none() {
                known.dropped_at = Some(at);
                known.changed = look;
                self.finished.push_back(*id);
            }
        }
        self.forget(at);
    }

    fn forget(&mut self, at: SystemTime) {
        while let Some(id) = self.finished.front() {
            let dropped_at = self.tasks.get(id).and_then(|known| known.dropped_at);
            let kept_for = dropped_at.map(|dropped_at| at.duration_since(dropped_at));
            let is_due = !matches!(kept_for, Some(Ok(kept_for)) if kept_for < self.retention);
            if !is_due && self.finished.len() <= MOST_FINISHED {
                return;
            }
            // A task that was found again is not gone.
            if dropped_at.is_some() {
                self.tasks.remove(id);
                self.forgotten += 1;
            }
            self.finished.pop_front();
        }
    }
}

/// Whether `now` has changes to send. The age alone is none. Nor is a busy time, which changes a little while the
/// estimate of the clock's rate improves.
fn differs(before: &TaskFacts, now: &TaskFacts) -> bool {
    let of = |facts: &TaskFacts| (facts.polls, facts.state, facts.self_wakes, facts.wakers);
    of(before) != of(now) || before.name.is_none() && now.name.is_some()
}

/// The model, and its clients.
#[derive(Debug)]
pub(crate) struct Shared {
    model: Mutex<Model>,
    /// The number of the last look.
    looks: watch::Sender<u64>,
    /// How long a client may take no message.
    pub(crate) patience: Duration,
}

impl Shared {
    pub(crate) fn new(retention: Duration, patience: Duration) -> Shared {
        Shared {
            model: Mutex::new(Model::new(retention)),
            looks: watch::Sender::new(0),
            patience,
        }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the tasks at an interval, while a client is attached.
    pub(crate) async fn look_every(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.looks.receiver_count() > 0 {
                self.look();
            }
        }
    }

    fn look(&self) {
        let (at, all) = (SystemTime::now(), pprof::task_facts());
        let mut model = self.model();
        model.look(all, at);
        self.looks.send_replace(model.look);
    }

    /// Attaches a client, with a fresh model.
    pub(crate) fn attach(self: &Arc<Self>) -> Attached {
        let attached = Attached {
            looks: Some(self.looks.subscribe()),
            shared: self.clone(),
            _ready_times: pprof::track_ready_time(),
        };
        let taken = self.model().taken;
        if taken.is_none_or(|taken| taken.elapsed() > FRESH) {
            self.look();
        }
        attached
    }
}

/// An attached client, until this is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    /// `None` only while it is dropped.
    looks: Option<watch::Receiver<u64>>,
    pub(crate) shared: Arc<Shared>,
    _ready_times: ReadyTimeTracking,
}

impl Attached {
    /// Waits for a look after the one with this number.
    pub(crate) async fn look_after(&mut self, seen: u64) {
        if let Some(looks) = &mut self.looks {
            // The sender lives as long as `shared`.
            let _ = looks.wait_for(|look| *look > seen).await;
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.looks = None;
        if self.shared.looks.receiver_count() == 0 {
            let mut model = self.shared.model();
            let (look, forgotten, retention) = (model.look, model.forgotten, model.retention);
            *model = Model {
                look,
                forgotten,
                ..Model::new(retention)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_probe::runtime::Builder;

    #[test]
    fn finished_tasks_are_kept_for_a_time_and_up_to_a_number() {
        const KEPT: u64 = 10_000;
        const TOO_MANY: u64 = 2_000;
        let runtime = Builder::new_current_thread().build().unwrap();
        let _task = runtime.spawn(std::future::pending::<()>());
        let facts = pprof::task_facts().pop().expect("a task");
        let called = |id: u64| {
            let mut facts = facts.clone();
            facts.id = id.into();
            facts
        };
        let second = Duration::from_secs(1);
        let (begun, last) = (SystemTime::now(), KEPT + TOO_MANY + 1);
        let mut model = Model::new(6 * second);

        model.look((1..=last).map(called).collect(), begun);
        assert_eq!(model.tasks.len() as u64, last);
        // All tasks but the last one end.
        model.look(vec![called(last)], begun + second);
        let ended = |known: &&Known| known.dropped_at.is_some();
        assert_eq!(model.tasks.values().filter(ended).count() as u64, KEPT);
        assert_eq!(
            (model.tasks.len() as u64, model.forgotten),
            (KEPT + 1, TOO_MANY)
        );
        model.look(vec![called(last)], begun + 6 * second);
        assert_eq!(model.tasks.len() as u64, KEPT + 1);
        model.look(vec![called(last)], begun + 7 * second);
        assert!(model.tasks.len() == 1 && model.tasks.contains_key(&last));
    }
}
