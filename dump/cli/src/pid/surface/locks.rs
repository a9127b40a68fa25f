//! Which task waits for a lock that another may hold, and where that goes in a circle.
//!
//! May hold: a guard that was dropped or moved can still be listed among an async body's locals.

use runtime_dump_decode::model::{Body, Chain, Detail, Dump};
use std::collections::{HashMap, HashSet};

/// How many holders are named.
const NAMED: usize = 5;

/// The longest way that is followed in search of a cycle.
const MOST_STEPS: usize = 64;

/// Holders by the semaphores of their locks.
pub(super) struct Locks {
    holders: HashMap<u64, Vec<u64>>,
    /// Tasks that were given permits and do not take them, by the semaphores.
    given: HashMap<u64, Vec<u64>>,
    /// For which semaphores a task waits.
    waits: HashMap<u64, Vec<u64>>,
    /// How many tasks wait for a semaphore.
    waiting: HashMap<u64, usize>,
}

impl Locks {
    pub(super) fn of(dump: &Dump) -> Self {
        let mut locks = Self {
            holders: HashMap::new(),
            given: HashMap::new(),
            waits: HashMap::new(),
            waiting: HashMap::new(),
        };
        for task in dump.tasks.iter().filter(|task| task.id != 0) {
            if let Body::Chain(chain) = &task.body {
                locks.add(task.id, chain);
                for kept in &chain.kept {
                    locks.given.entry(kept.semaphore).or_default().push(task.id);
                }
            }
        }
        for semaphore in locks.waits.values().flatten() {
            *locks.waiting.entry(*semaphore).or_default() += 1;
        }
        locks
    }

    fn add(&mut self, id: u64, chain: &Chain) {
        for detail in &chain.details {
            match detail {
                Detail::MayHold(semaphore) => {
                    let holders = self.holders.entry(*semaphore).or_default();
                    if !holders.contains(&id) {
                        holders.push(id);
                    }
                }
                Detail::Acquires { semaphore, .. } => {
                    self.waits.entry(id).or_default().push(*semaphore);
                }
                _ => {}
            }
        }
        for branch in &chain.branches {
            self.add(id, branch);
        }
    }

    /// What the task `id` waits for: `given to goroutine 7, which has not taken it`, or `may be held by goroutine 7, 9`.
    pub(super) fn holders(&self, semaphore: u64, id: u64) -> Option<String> {
        match self.given.get(&semaphore) {
            Some(given) if given.contains(&id) => Some("given to this very task".into()),
            Some(given) => Some(format!(
                "given to goroutine {}, which has not taken it",
                named(given)
            )),
            None => {
                let holders = self.holders.get(&semaphore)?;
                Some(format!("may be held by goroutine {}", named(holders)))
            }
        }
    }

    /// For each future that keeps permits from tasks that wait for them, a sentence.
    pub(super) fn futurelocks(&self, dump: &Dump) -> Vec<String> {
        let chains = dump.tasks.iter().filter_map(|task| match &task.body {
            Body::Chain(chain) => Some((task.id, chain)),
            Body::Missing(_) => None,
        });
        let told = chains.flat_map(|(id, chain)| {
            chain.kept.iter().filter_map(move |kept| {
                let waiting = self.waiting.get(&kept.semaphore)?;
                let wait = if *waiting == 1 { "waits" } else { "wait" };
                Some(format!(
                    "futurelock: goroutine {id} {}: {waiting} {wait} behind it",
                    kept.text(&dump.frames)
                ))
            })
        });
        told.collect()
    }

    /// `may be in a cycle of locks: 7 waits for 9, 9 waits for 7`
    pub(super) fn cycle(&self, id: u64) -> Option<String> {
        let mut way = vec![id];
        let mut seen = HashSet::from([id]);
        if !self.leads_back(id, id, &mut way, &mut seen) {
            return None;
        }
        let steps: Vec<String> = way
            .iter()
            .zip(way.iter().skip(1).chain([&id]))
            .map(|(from, to)| format!("{from} waits for {to}"))
            .collect();
        Some(format!("may be in a cycle of locks: {}", steps.join(", ")))
    }

    fn leads_back(&self, from: u64, to: u64, way: &mut Vec<u64>, seen: &mut HashSet<u64>) -> bool {
        if way.len() > MOST_STEPS {
            return false;
        }
        let semaphores = self.waits.get(&from).into_iter().flatten();
        let next = semaphores.filter_map(|semaphore| self.holders.get(semaphore));
        for holder in next.flatten() {
            // A task that waits for what it holds itself is one, too.
            if *holder == to {
                return true;
            }
            if seen.insert(*holder) {
                way.push(*holder);
                if self.leads_back(*holder, to, way, seen) {
                    return true;
                }
                way.pop();
            }
        }
        false
    }
}

/// `7, 9`, or the first of many.
fn named(tasks: &[u64]) -> String {
    let first: Vec<String> = tasks.iter().take(NAMED).map(u64::to_string).collect();
    let more = if tasks.len() > NAMED { ", ..." } else { "" };
    format!("{}{more}", first.join(", "))
}
