//! Futurelocks of tokio's own semaphores: permits that were granted to a task through a future that the task keeps and
//! does not poll. Room in a bounded channel is such a permit.
//!
//! The probe's own locks know their futurelocks. For tokio's own the futures are read, in the memory of their tasks.
//! They are read twice, and only while tasks wait for such permits: a task that was granted a permit a moment ago is on
//! its way to its next poll.

use super::decoded::question;
use super::held_locks::{goroutine, name, wait};
use super::selection::grouped;
use crate::snapshot::futurelocks::HANDED_OVER_NS;
use crate::snapshot::tasks::{Row, Tasks};
use crate::snapshot::unpolled::Unpolled;
use crate::symbol::own_futures::{Answer, Found, Given, Wait, ask};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Permits that were granted to a task, which does not take them.
#[derive(Clone, Debug)]
pub(crate) struct GivenPermits {
    pub(super) task: u64,
    name: Option<String>,
    given: Given,
    /// How many tasks wait for permits of the semaphore.
    behind: usize,
}

/// All futurelocks of tokio's semaphores in a dump.
#[derive(Debug, Default)]
pub(super) struct Permits {
    pub(super) given: Vec<GivenPermits>,
    /// By task: the indices in `given` of what the task waits for.
    waits: HashMap<u64, Vec<usize>>,
    /// Why futurelocks are not known; `None` if they are.
    pub(super) unknown: Option<String>,
}

impl Permits {
    /// Finds the futurelocks among the waiting tasks of a snapshot. `knows`: whether a task waits for a lock of the
    /// probe, whose futurelock is found without this.
    pub(super) fn take(tasks: &Tasks, knows: impl Fn(u64) -> bool) -> Self {
        let waiting = Unpolled::waiting(tasks);
        match ask(question(&waiting)).answer() {
            Answer::Found(found) => Permits::among(tasks, &waiting, &found, knows),
            answer => Permits::unknown(answer),
        }
    }

    /// The same of waiting tasks whose futures were read already.
    pub(super) fn among(
        tasks: &Tasks,
        waiting: &Unpolled,
        found: &Found,
        knows: impl Fn(u64) -> bool,
    ) -> Self {
        let waiting_for = by_semaphore(found);
        let suspects = found.waits.iter().filter(|(_, wait)| {
            let mut given = wait.given.iter();
            given.any(|given| waiting_for.contains_key(&given.semaphore))
        });
        let suspected: HashMap<u64, &Wait> = suspects.map(|(id, wait)| (*id, wait)).collect();
        let suspects = waiting.only(suspected.keys().copied());
        if suspects.len() == 0 {
            return Permits::default();
        }
        std::thread::sleep(Duration::from_nanos(HANDED_OVER_NS));
        let later = match ask(question(&suspects)).answer() {
            Answer::Found(later) => later,
            answer => return Permits::unknown(answer),
        };
        let still = waiting.still();
        let rows: HashMap<u64, &Row> = tasks.rows.iter().map(|row| (row.id, row)).collect();
        let mut permits = Permits::default();
        for (id, now) in later.waits.iter().filter(|(id, _)| still.contains(*id)) {
            let Some(before) = suspected.get(id) else {
                continue;
            };
            for given in &now.given {
                let is_same = |other: &Given| {
                    other.future == given.future && other.semaphore == given.semaphore
                };
                let waiters = waiting_for.get(&given.semaphore).into_iter().flatten();
                let behind: Vec<u64> = waiters.copied().filter(|id| still.contains(*id)).collect();
                let is_told = given.is_lock && behind.iter().any(|id| knows(*id));
                if behind.is_empty() || is_told || !before.given.iter().any(is_same) {
                    continue;
                }
                let at = permits.given.len();
                for id in &behind {
                    permits.waits.entry(*id).or_default().push(at);
                }
                permits.given.push(GivenPermits {
                    task: *id,
                    name: rows.get(id).and_then(|row| name(tasks, row)),
                    given: given.clone(),
                    behind: behind.len(),
                });
            }
        }
        permits
    }

    fn unknown(answer: Answer) -> Self {
        Permits {
            unknown: Some(why_not(answer)),
            ..Permits::default()
        }
    }

    /// The notes on a task.
    pub(super) fn notes(&self, id: u64) -> Vec<String> {
        if self.given.is_empty() {
            return Vec::new();
        }
        let waits = self.waits.get(&id).into_iter().flatten();
        let waits = waits.map(|at| self.given[*at].said_of_waiter(id));
        let keeps = self.given.iter().filter(|given| given.task == id);
        waits.chain(keeps.map(GivenPermits::said_of_task)).collect()
    }
}

/// The tasks that wait for permits, by the semaphore.
fn by_semaphore(found: &Found) -> HashMap<u64, HashSet<u64>> {
    let mut tasks: HashMap<u64, HashSet<u64>> = HashMap::new();
    for (id, wait) in &found.waits {
        for semaphore in wait.semaphores() {
            tasks.entry(semaphore).or_default().insert(*id);
        }
    }
    tasks
}

fn why_not(answer: Answer) -> String {
    match answer {
        Answer::Reading => "the debug information is being read; a later dump knows".to_owned(),
        Answer::Unusable(why) => why,
        Answer::Busy | Answer::Found(_) => "other dumps are being decoded".to_owned(),
    }
}

impl GivenPermits {
    /// The futurelock as a sentence.
    pub(super) fn text(&self) -> String {
        let who = goroutine(self.task, self.name.as_deref());
        format!("futurelock: {who} {}", self.said_of_task())
    }

    fn said_of_task(&self) -> String {
        format!(
            "was given {} through {}, which it has not polled since: {} behind it",
            self.given.thing,
            self.given.through,
            wait(self.behind)
        )
    }

    fn said_of_waiter(&self, id: u64) -> String {
        let thing = &self.given.thing;
        let mut text = match id == self.task {
            true => format!("waits for {thing}, which it was given itself"),
            false => format!(
                "waits for {thing}: it was given to goroutine {}, which has been polled since without taking it",
                self.task
            ),
        };
        match self.behind - 1 {
            0 => {}
            1 => text.push_str("; 1 more waits for it"),
            others => text.push_str(&format!("; {} more wait for it", grouped(others as u64))),
        }
        text
    }
}
