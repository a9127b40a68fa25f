//! Tasks and threads that wait for locks of each other: cycles in which none can go on.
//!
//! A task can go on where it waits for anything beside a lock of ours: it is in no cycle. What waits for one that is not stuck
//! itself is not stuck either. What is left over when all of these are taken away waits for ever, in a cycle or behind one.
//!
//! One copy of a running program is not of one moment, so a cycle is told when a second copy has the same waits in the same
//! polls: at the moment between the two all of them lasted.

use super::locks::{Lock, LockNumber, Locks};
use super::remaining::Remaining;
use super::tasks::{State, Tasks, known};
use crate::clock::Scale;
use crate::registry::locks::Who;
use crate::registry::slab;
use crate::stack::raw::WaitSet;
use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// How long after the first copy the second is taken.
const SECOND_LOOK: Duration = Duration::from_millis(10);

/// A cycle.
#[derive(Debug)]
pub(crate) struct Deadlock {
    /// Each waits for a lock that the next one has, and the last for one of the first.
    pub(crate) members: Vec<Member>,
    /// What waits for a member, or for one that does: the same of all cycles.
    pub(crate) behind: Arc<[Who]>,
}

/// One that waits in a cycle.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// A task or a thread.
    pub(crate) who: Who,
    /// The type of its future, of a task that is listed.
    pub(crate) type_name: Option<&'static str>,
    pub(crate) since_ns: u64,
    /// The lock that it waits for.
    pub(crate) lock: String,
    pub(crate) created: Option<&'static Location<'static>>,
    /// Where the next one has taken that lock, as far as that is known.
    pub(crate) taken_at: Option<&'static WaitSet>,
    edge: Edge,
}

/// That one waits for a lock of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Edge {
    who: u64,
    holder: u64,
    lock: LockNumber,
    arrival: u64,
    poll: u64,
}

/// Those of a copy; looks once more where there may be one.
pub(super) fn of(tasks: &Tasks, locks: &Locks) -> Vec<Deadlock> {
    if !may_be_in(locks) {
        return Vec::new();
    }
    let mut found = cycles(tasks, locks);
    if found.is_empty() {
        return found;
    }
    std::thread::sleep(SECOND_LOOK);
    let again = Locks::take(&Scale::now());
    let edges: HashSet<Edge> = edges(&again).collect();
    let members = found.iter().flat_map(|deadlock| &deadlock.members);
    let polls = polls(members.map(|member| member.edge.who).collect());
    found.retain(|deadlock| {
        deadlock.members.iter().all(|Member { edge, .. }| {
            let same_poll = edge.poll == 0 || polls.get(&edge.who) == Some(&edge.poll);
            same_poll && edges.contains(edge)
        })
    });
    found
}

/// Whether a holder waits itself: cheap, and false for most programs at most moments.
pub(super) fn may_be_in(locks: &Locks) -> bool {
    let holders = locks.0.iter().flat_map(Lock::holders);
    let holders: HashSet<u64> = holders.map(Who::pack).collect();
    let mut waiters = locks.0.iter().flat_map(|lock| &lock.waiters);
    waiters.any(|waiter| waiter.who != Who::Unknown && holders.contains(&waiter.who.pack()))
}

impl Deadlock {
    /// All that can never go on: the members, and what is behind any cycle.
    pub(crate) fn stuck(&self) -> impl Iterator<Item = Who> {
        let members = self.members.iter().map(|member| member.who);
        members.chain(self.behind.iter().copied())
    }

    /// The same for as long as it lasts.
    pub(crate) fn first(&self) -> u64 {
        let members = self.members.iter().map(|member| member.edge.who);
        members.min().unwrap_or(0)
    }
}

fn edges(locks: &Locks) -> impl Iterator<Item = Edge> {
    locks.0.iter().flat_map(|lock| {
        let holders = lock.holders();
        lock.waiters.iter().flat_map(move |waiter| {
            let edges = holders.iter().map(|holder| Edge {
                who: waiter.who.pack(),
                holder: holder.pack(),
                lock: lock.number,
                arrival: waiter.arrival,
                poll: waiter.poll,
            });
            edges.collect::<Vec<Edge>>()
        })
    })
}

fn cycles(tasks: &Tasks, locks: &Locks) -> Vec<Deadlock> {
    let waiting: HashSet<u64> = edges(locks).map(|edge| edge.who).collect();
    let rows: HashMap<u64, _> = tasks
        .rows
        .iter()
        .filter(|row| waiting.contains(&row.id))
        .map(|row| (row.id, row))
        .collect();
    let mut stuck: HashMap<u64, Vec<Edge>> = HashMap::new();
    for edge in edges(locks).filter(|edge| edge.who != 0) {
        // Of a future that its task has not polled since, the task does not wait.
        let lasts = edge.poll == 0
            || rows
                .get(&edge.who)
                .is_some_and(|row| row.polls == edge.poll);
        if lasts {
            stuck.entry(edge.who).or_default().push(edge);
        }
    }
    stuck.retain(|who, edges| {
        let blocked = edges.iter().any(|edge| edge.poll == 0);
        let only_locks = rows.get(who).is_some_and(|row| {
            let key = &tasks.stack_keys[row.stack_key as usize];
            // What registered and keeps no waker any more, as a timer that is over, is no wait.
            let registered = key.waits.map_or(0, |waits| usize::from(waits.len));
            let waits = match key.remaining {
                Remaining::AtMost(wakers) => registered.min(wakers),
                Remaining::All | Remaining::Repeated => registered,
                Remaining::Earlier | Remaining::None => usize::MAX,
            };
            // One that waits for a semaphore waits for all that have its permits.
            let arrivals: HashSet<u64> = edges.iter().map(|edge| edge.arrival).collect();
            key.state == State::Waiting && waits <= arrivals.len()
        });
        blocked || only_locks
    });
    retain_stuck(&mut stuck);
    let rings = rings(&stuck);
    let inside: HashSet<u64> = rings.iter().flatten().map(|edge| edge.who).collect();
    let behind = stuck.keys().filter(|who| !inside.contains(who));
    let behind: Arc<[Who]> = behind.map(|who| Who::unpack(*who)).collect();
    let mut waits = HashMap::new();
    for lock in &locks.0 {
        for waiter in &lock.waiters {
            waits.insert((lock.number, waiter.arrival), (lock, waiter.since_ns));
        }
    }
    let deadlocks = rings.into_iter().map(|ring| Deadlock {
        members: ring
            .iter()
            .filter_map(|edge| {
                let (lock, since_ns) = waits.get(&(edge.lock, edge.arrival))?;
                let meta = rows
                    .get(&edge.who)
                    .and_then(|row| tasks.stack_keys[row.stack_key as usize].meta);
                Some(Member {
                    who: Who::unpack(edge.who),
                    type_name: meta.map(|meta| meta.type_name()),
                    since_ns: *since_ns,
                    lock: lock.type_name(),
                    created: lock.created(),
                    taken_at: lock.taken_at,
                    edge: *edge,
                })
            })
            .collect(),
        behind: behind.clone(),
    });
    deadlocks.collect()
}

/// Takes away what can go on: what waits for one that is not stuck, or for one that is not known.
fn retain_stuck(stuck: &mut HashMap<u64, Vec<Edge>>) {
    loop {
        let before = stuck.len();
        let left: HashSet<u64> = stuck.keys().copied().collect();
        stuck.retain(|_, edges| edges.iter().all(|edge| left.contains(&edge.holder)));
        if stuck.len() == before {
            return;
        }
    }
}

/// Each cycle once, by the first lock that each waits for.
fn rings(stuck: &HashMap<u64, Vec<Edge>>) -> Vec<Vec<Edge>> {
    let mut seen: HashSet<u64> = HashSet::new();
    let mut rings = Vec::new();
    let mut all: Vec<u64> = stuck.keys().copied().collect();
    all.sort_unstable();
    for first in all {
        let mut way: Vec<Edge> = Vec::new();
        let mut at = first;
        while seen.insert(at) {
            let Some(edge) = stuck.get(&at).and_then(|edges| edges.first()) else {
                break;
            };
            way.push(*edge);
            at = edge.holder;
        }
        if let Some(begin) = way.iter().position(|edge| edge.who == at) {
            rings.push(way.split_off(begin));
        }
    }
    rings
}

/// How often these tasks have been polled.
fn polls(tasks: HashSet<u64>) -> HashMap<u64, u64> {
    let mut polls = HashMap::new();
    slab::for_each(|record| {
        if tasks.contains(&record.id())
            && let Some(view) = known(record)
        {
            polls.insert(view.id, view.polls);
        }
    });
    polls
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edge(who: u64, holder: u64) -> Edge {
        Edge {
            who,
            holder,
            lock: (holder as u32 + 1, 1),
            arrival: who,
            poll: 1,
        }
    }

    fn graph(edges: &[(u64, u64)]) -> HashMap<u64, Vec<Edge>> {
        let mut graph: HashMap<u64, Vec<Edge>> = HashMap::new();
        for (who, holder) in edges {
            graph.entry(*who).or_default().push(edge(*who, *holder));
        }
        graph
    }

    #[test]
    fn a_cycle_and_what_waits_behind_it() {
        let mut stuck = graph(&[(1, 2), (2, 3), (3, 1), (4, 1), (5, 4), (6, 7)]);
        retain_stuck(&mut stuck);
        assert_eq!(stuck.len(), 5);
        let rings = rings(&stuck);
        assert_eq!(rings.len(), 1);
        let mut members: Vec<u64> = rings[0].iter().map(|edge| edge.who).collect();
        members.sort_unstable();
        assert_eq!(members, [1, 2, 3]);
    }

    #[test]
    fn one_that_waits_for_itself_is_a_cycle() {
        let mut stuck = graph(&[(1, 1)]);
        retain_stuck(&mut stuck);
        assert_eq!(rings(&stuck).len(), 1);
    }

    proptest! {
        /// One wait each, so a task is stuck if and only if the walk from it comes back to where it was.
        #[test]
        fn what_is_stuck_never_reaches_an_end(holders in proptest::collection::vec(0u64..12, 1..10)) {
            let edges: Vec<(u64, u64)> = (1..).zip(holders.iter().copied()).collect();
            let mut stuck = graph(&edges);
            retain_stuck(&mut stuck);
            let next: HashMap<u64, u64> = edges.iter().copied().collect();
            for who in next.keys() {
                let mut at = Some(*who);
                for _ in 0..=edges.len() {
                    at = at.and_then(|at| next.get(&at).copied());
                }
                prop_assert_eq!(stuck.contains_key(who), at.is_some());
            }
            // Each ring is closed, and no task is in two of them.
            let mut seen = HashSet::new();
            for ring in rings(&stuck) {
                for (edge, after) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                    prop_assert_eq!(edge.holder, after.who);
                    prop_assert!(seen.insert(edge.who));
                }
            }
            prop_assert_eq!(seen.is_empty(), stuck.is_empty());
        }
    }
}
