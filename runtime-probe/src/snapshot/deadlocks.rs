//! Deadlocks: cycles of tasks and threads that wait for each other's locks or ends.
//!
//! A task that also waits for anything else than our locks and the ends of tasks is not stuck. A waiter of a member
//! that is not stuck is not stuck either. After these are removed, the rest waits for ever, in a cycle or behind one.
//!
//! The caller of a `block_on` waits for the end of its root, and for nothing else.
//!
//! A copy of a running program is not taken at one moment. So a cycle is reported only if a second copy has the same
//! waits in the same polls: then all of them existed at the moment between the two copies.
//!
//! A guard that owns its lock, or borrows a static, can be moved: an acceptor that gives its permits to the tasks that it spawns
//! holds none of them. No code runs where a value is moved. So a cycle over such a guard is only reported as [possible](Cycles).

use super::joins::{End, Joins};
use super::locks::{Lock, LockNumber, Locks, Moved, Waiter};
use super::remaining::Remaining;
use super::roots::{self, Root};
use super::tasks::{Row, StackKey, State, Tasks, known};
use crate::clock::Scale;
use crate::registry::locks::Who;
use crate::registry::slab;
use crate::stack::raw::RawStack;
use crate::stack::wait_set::WaitSet;
use std::collections::{HashMap, HashSet};
use std::iter::successors;
use std::panic::Location;
use std::ptr::from_ref;
use std::sync::Arc;
use std::time::Duration;

/// How long after the first copy the second is taken.
const SECOND_LOOK: Duration = Duration::from_millis(10);

/// A cycle that is only possible is not reported before each wait in it has lasted so long: a lock that is handed over is
/// mostly released sooner.
const DOUBTFUL: Duration = Duration::from_secs(1);

/// A cycle.
#[derive(Debug)]
pub(crate) struct Deadlock {
    /// Each member waits for the next one, and the last for the first.
    pub(crate) members: Vec<Member>,
    /// The waiters behind any cycle, directly or not. The same for all cycles.
    pub(crate) behind: Arc<[Who]>,
}

/// A member of a cycle.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// A task or a thread.
    pub(crate) who: Who,
    /// The type of the task's future, if the task is listed.
    pub(crate) type_name: Option<&'static str>,
    pub(crate) since_ns: u64,
    pub(crate) wanted: Wanted,
    edge: Edge,
}

/// What a member waits for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Lock {
        /// The type of the lock.
        lock: String,
        created: Option<&'static Location<'static>>,
        /// Whether it is a `OnceCell` that the next member initializes.
        is_once: bool,
        /// Whether the next member may have given the guard away.
        may_have_moved: bool,
        /// Where the next member took the lock, if known.
        taken_at: Option<&'static WaitSet>,
        /// The member is its own next one: it holds the lock for reading.
        reads_itself: Option<ReadsItself>,
    },
    /// The end of the next member, or of any of `of_any` tasks of a `JoinSet`, including the next member.
    End { of_any: usize },
}

/// What a reader waits for at the lock that it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadsItself {
    /// To write.
    ToWrite,
    /// To read once more, behind this writer, who asked for the lock in between.
    Behind(Who),
}

/// A wait of one for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Edge {
    who: u64,
    /// The holder of the lock, the waiter that has to go first, or the task that has to end.
    holder: u64,
    by: By,
    poll: u64,
}

impl Edge {
    /// Whether it is a wait of a thread, inside of any poll or outside.
    fn blocks(&self) -> bool {
        self.poll == 0
    }
}

/// The object of the wait. Each kind but the last keeps a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum By {
    /// A lock, with the number of the waiter.
    Lock(LockNumber, u64),
    /// The handle of the other task.
    Handle,
    /// A `JoinSet`, by its address and number of tasks.
    Set(usize, usize),
    /// The `block_on` that has the other task as its root. It keeps no waker: the caller is blocked.
    Root,
}

/// The cycles in copies.
#[derive(Debug, Default)]
pub(super) struct Cycles {
    pub(super) certain: Vec<Deadlock>,
    /// Cycles over a guard that may have been moved out of them.
    pub(super) possible: Vec<Deadlock>,
}

/// The cycles in these copies. Takes a second copy if there may be one.
pub(super) fn of(tasks: &Tasks, locks: &Locks, joins: &Joins) -> Cycles {
    let roots = roots_beside(locks, joins);
    if !are_stuck(locks, joins, &roots) {
        return Cycles::default();
    }
    let mut certain = cycles(tasks, locks, joins, &roots, Moved::Unknown);
    let mut possible = match locks.0.iter().any(|lock| lock.may_have_moved) {
        true => cycles(tasks, locks, joins, &roots, Moved::Taker),
        false => Vec::new(),
    };
    let stuck: HashSet<Who> = certain.iter().flat_map(Deadlock::stuck).collect();
    possible.retain(|cycle| {
        let mut members = cycle.members.iter();
        members.all(|member| {
            !stuck.contains(&member.who) && Duration::from_nanos(member.since_ns) >= DOUBTFUL
        })
    });
    let all = certain.iter().chain(&possible);
    let members: HashSet<u64> = all
        .flat_map(|cycle| &cycle.members)
        .map(|member| member.edge.who)
        .collect();
    if members.is_empty() {
        return Cycles::default();
    }
    let later = Later::take(members);
    let lasts = |cycle: &Deadlock| cycle.members.iter().all(|member| later.has(&member.edge));
    certain.retain(lasts);
    possible.retain(lasts);
    Cycles { certain, possible }
}

/// The second copy.
struct Later {
    edges: HashSet<Edge>,
    /// How often the tasks have been polled.
    polls: HashMap<u64, u64>,
}

impl Later {
    fn take(tasks: HashSet<u64>) -> Self {
        std::thread::sleep(SECOND_LOOK);
        let (locks, joins) = (Locks::take(&Scale::now()), Joins::take());
        let roots = roots_beside(&locks, &joins);
        Later {
            edges: edges(&locks, &joins, &roots, Moved::Taker).collect(),
            polls: polls(tasks),
        }
    }

    /// Whether it has the same wait in the same poll.
    fn has(&self, edge: &Edge) -> bool {
        let same_poll = edge.blocks() || self.polls.get(&edge.who) == Some(&edge.poll);
        same_poll && self.edges.contains(edge)
    }
}

/// Whether there is a cycle if each waiter waits for nothing else. This is cheap, and mostly false.
pub(super) fn may_be_in(locks: &Locks, joins: &Joins) -> bool {
    are_stuck(locks, joins, &roots_beside(locks, joins))
}

fn are_stuck(locks: &Locks, joins: &Joins, roots: &[Root]) -> bool {
    let mut stuck = by_waiter(edges(locks, joins, roots, Moved::Taker));
    retain_blocked(&mut stuck);
    retain_stuck(&mut stuck);
    !stuck.is_empty()
}

/// The roots, if anything waits for a lock or an end.
fn roots_beside(locks: &Locks, joins: &Joins) -> Vec<Root> {
    match locks.0.is_empty() && joins.0.is_empty() {
        true => Vec::new(),
        false => roots::take(),
    }
}

/// Cycles of what waits for locks of each other, whatever else may let one of them go on: a time limit, another branch, or a
/// guard that was moved.
pub(crate) fn mutual(tasks: &Tasks, locks: &[Lock]) -> Vec<Vec<Who>> {
    let rows = tasks.rows.iter();
    let polls: HashMap<u64, u64> = rows.map(|row| (row.id, row.polls)).collect();
    let lasting = |edge: &Edge| {
        edge.blocks()
            || polls
                .get(&edge.who)
                .is_some_and(|polls| *polls == edge.poll)
    };
    let mut waiters = by_waiter(edges_of_locks(locks, Moved::Taker).filter(lasting));
    // What waits for any of several goes on with the first of them.
    waiters.retain(|_, edges| edges.len() == 1);
    let mut rings = rings(&waiters);
    if rings.is_empty() {
        return Vec::new();
    }
    let later = Later::take(rings.iter().flatten().map(|edge| edge.who).collect());
    rings.retain(|ring| ring.iter().all(|edge| later.has(edge)));
    let who = |ring: Vec<Edge>| ring.iter().map(|edge| Who::unpack(edge.who)).collect();
    rings.into_iter().map(who).collect()
}

impl Deadlock {
    /// All that are stuck: the members, and the waiters behind any cycle.
    pub(crate) fn stuck(&self) -> impl Iterator<Item = Who> {
        let members = self.members.iter().map(|member| member.who);
        members.chain(self.behind.iter().copied())
    }

    /// An identity of the deadlock, which does not change while it lasts.
    pub(crate) fn first(&self) -> u64 {
        let members = self.members.iter().map(|member| member.edge.who);
        members.min().unwrap_or(0)
    }
}

fn edges(locks: &Locks, joins: &Joins, roots: &[Root], moved: Moved) -> impl Iterator<Item = Edge> {
    let of_locks = edges_of_locks(&locks.0, moved);
    of_locks
        .chain(edges_of_queues(&locks.0))
        .chain(edges_of_joins(joins))
        .chain(roots.iter().map(|root| Edge {
            who: root.caller.pack(),
            holder: root.id,
            by: By::Root,
            poll: 0,
        }))
}

fn edges_of_locks(locks: &[Lock], moved: Moved) -> impl Iterator<Item = Edge> {
    locks.iter().flat_map(move |lock| {
        let holders = lock.holders(moved);
        lock.waiters.iter().flat_map(move |waiter| {
            let edges = holders.iter().map(|holder| Edge {
                who: waiter.who.pack(),
                holder: holder.pack(),
                by: By::Lock(lock.number, waiter.arrival),
                poll: waiter.poll,
            });
            edges.collect::<Vec<Edge>>()
        })
    })
}

/// Waits for another waiter, which may give up before the holder releases the lock.
fn edges_of_queues(locks: &[Lock]) -> impl Iterator<Item = Edge> {
    locks.iter().flat_map(|lock| {
        lock.waiters.iter().filter_map(|waiter| {
            Some(Edge {
                who: waiter.who.pack(),
                holder: lock.before(waiter)?.pack(),
                by: By::Lock(lock.number, waiter.arrival),
                poll: waiter.poll,
            })
        })
    })
}

fn edges_of_joins(joins: &Joins) -> impl Iterator<Item = Edge> {
    joins.0.iter().flat_map(|(who, joining)| {
        joining.awaited.iter().flat_map(move |awaited| {
            let (by, ends) = match &awaited.end {
                End::Of(task) => (By::Handle, vec![*task]),
                End::OfAny {
                    address,
                    members,
                    tasks,
                } => {
                    // An unlisted task, or a result, is not known to be stuck.
                    let unknown = (tasks.len() != *members).then_some(0);
                    let ends = tasks.iter().copied().chain(unknown);
                    (By::Set(*address, *members), ends.collect())
                }
            };
            ends.into_iter().map(move |holder| Edge {
                who: *who,
                holder,
                by,
                poll: joining.poll,
            })
        })
    })
}

fn by_waiter(edges: impl Iterator<Item = Edge>) -> HashMap<u64, Vec<Edge>> {
    let mut waiters: HashMap<u64, Vec<Edge>> = HashMap::new();
    for edge in edges.filter(|edge| edge.who != 0) {
        waiters.entry(edge.who).or_default().push(edge);
    }
    waiters
}

/// What blocks its thread waits for nothing else, whatever its task has polled before.
fn retain_blocked(stuck: &mut HashMap<u64, Vec<Edge>>) {
    for edges in stuck.values_mut() {
        if edges.iter().any(Edge::blocks) {
            edges.retain(Edge::blocks);
        }
    }
}

fn cycles(
    tasks: &Tasks,
    locks: &Locks,
    joins: &Joins,
    roots: &[Root],
    moved: Moved,
) -> Vec<Deadlock> {
    let mut stuck = by_waiter(edges(locks, joins, roots, moved));
    retain_blocked(&mut stuck);
    let rows: HashMap<u64, &Row> = tasks
        .rows
        .iter()
        .filter(|row| stuck.contains_key(&row.id))
        .map(|row| (row.id, row))
        .collect();
    let mut waits = HashMap::new();
    for lock in &locks.0 {
        for waiter in &lock.waiters {
            waits.insert(By::Lock(lock.number, waiter.arrival), (lock, waiter));
        }
    }
    stuck.retain(|who, edges| {
        let row = rows.get(who);
        // A task does not wait for a future that it has not polled in its last poll.
        edges.retain(|edge| edge.blocks() || row.is_some_and(|row| row.polls == edge.poll));
        let blocked = edges.iter().any(Edge::blocks);
        blocked
            || row.is_some_and(|row| {
                let key = &tasks.stack_keys[row.stack_key as usize];
                key.state == State::Waiting && waits_for_these_only(key, *who, edges, &waits, joins)
            })
    });
    retain_stuck(&mut stuck);
    let rings = rings(&stuck);
    let inside: HashSet<u64> = rings.iter().flatten().map(|edge| edge.who).collect();
    // A thread in a `block_on` is the one that polls its root. Only the root is a waiter.
    let polls_a_root = |who: Who| match who {
        Who::Thread(_) => stuck[&who.pack()].iter().all(|edge| edge.by == By::Root),
        Who::Task(_) | Who::Unknown => false,
    };
    let behind = stuck.keys().filter(|who| !inside.contains(who));
    let behind = behind.map(|who| Who::unpack(*who));
    let behind: Arc<[Who]> = behind.filter(|who| !polls_a_root(*who)).collect();
    let member = |edge: &Edge| {
        let row = rows.get(&edge.who);
        let lock = waits.get(&edge.by);
        let wanted = match (edge.by, lock) {
            (By::Lock(..), None) => return None,
            (_, Some((lock, waiter))) => Wanted::Lock {
                lock: lock.type_name(),
                created: lock.created(),
                is_once: lock.what.is_once,
                may_have_moved: lock.may_have_moved,
                taken_at: lock.taken_at,
                reads_itself: reads_itself(lock, waiter),
            },
            (By::Handle | By::Root, None) => Wanted::End { of_any: 1 },
            (By::Set(_, members), None) => Wanted::End { of_any: members },
        };
        let meta = row.and_then(|row| tasks.stack_keys[row.stack_key as usize].meta);
        let since_ns = match (edge.by, lock) {
            // Not the begin of the caller's poll, which may be earlier.
            (By::Root, _) => rows.get(&edge.holder).map(|root| root.since_ns),
            (_, lock) => lock.map(|(_, waiter)| waiter.since_ns),
        };
        Some(Member {
            who: Who::unpack(edge.who),
            type_name: meta.map(|meta| meta.type_name()),
            since_ns: since_ns.or_else(|| Some(row?.since_ns))?,
            wanted,
            edge: *edge,
        })
    };
    let deadlocks = rings.into_iter().map(|ring| Deadlock {
        members: ring.iter().filter_map(member).collect(),
        behind: behind.clone(),
    });
    deadlocks.collect()
}

fn reads_itself(lock: &Lock, waiter: &Waiter) -> Option<ReadsItself> {
    let itself = lock.is_shared && lock.holder == waiter.who;
    match waiter.is_shared {
        _ if !itself => None,
        false => Some(ReadsItself::ToWrite),
        true => lock.writer_before(waiter).map(ReadsItself::Behind),
    }
}

/// Whether a waiting task waits for nothing else than these edges. Keeps the edges that it waits for.
fn waits_for_these_only(
    key: &StackKey,
    who: u64,
    edges: &mut Vec<Edge>,
    locks: &HashMap<By, (&Lock, &Waiter)>,
    joins: &Joins,
) -> bool {
    let is_of_a_lock = |edge: &&Edge| matches!(edge.by, By::Lock(..));
    // A waiter for a semaphore has an edge to each holder of permits, and perhaps one to the first waiter.
    let of_locks = edges.iter().filter(is_of_a_lock);
    let of_locks: HashSet<By> = of_locks.map(|edge| edge.by).collect();
    let at_locks = of_locks.iter().filter_map(|by| locks.get(by)?.1.waits);
    let at_locks: HashSet<*const RawStack> = at_locks.map(|waits| from_ref(waits.last)).collect();
    // Registrations are compared, not counted: equal ones in a row are one, as those of `join_all`.
    let all_at_locks = || {
        let mut registered = successors(key.waits, |waits| waits.earlier);
        registered.all(|waits| at_locks.contains(&from_ref(waits.last)))
            && key.waits.is_some_and(|waits| !waits.overflowed)
    };
    let only_locks = match key.remaining {
        // A registration that keeps no waker any more, such as an expired timer, is no wait.
        Remaining::AtMost(wakers) => wakers <= of_locks.len() || all_at_locks(),
        Remaining::All | Remaining::Repeated => all_at_locks(),
        Remaining::Earlier | Remaining::None => false,
    };
    if !of_locks.is_empty() && only_locks {
        // A handle that was polled earlier may keep a waker. Its wake would be in vain.
        edges.retain(|edge| is_of_a_lock(&edge));
        return true;
    }
    // All of the task's wakers must be known.
    joins.0.get(&who).is_some_and(|joining| {
        edges.iter().any(|edge| edge.poll == joining.poll)
            && joining.wakers <= of_locks.len() + joining.awaited.len()
    })
}

/// Removes all that are not stuck: those that wait for one that is not stuck or not known.
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

/// Each cycle once. Of a waiter with several edges, the first one is followed.
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

/// The number of polls of these tasks.
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
            by: By::Lock((holder as u32 + 1, 1), who),
            poll: 1,
        }
    }

    fn graph(edges: &[(u64, u64)]) -> HashMap<u64, Vec<Edge>> {
        by_waiter(edges.iter().map(|(who, holder)| edge(*who, *holder)))
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

    #[test]
    fn a_way_that_ends_is_no_ring() {
        let rings = rings(&graph(&[(1, 2), (2, 1), (3, 1), (4, 5)]));
        assert_eq!(rings.len(), 1);
        let mut members: Vec<u64> = rings[0].iter().map(|edge| edge.who).collect();
        members.sort_unstable();
        assert_eq!(members, [1, 2]);
    }

    proptest! {
        /// Each task waits for one other, so a task is stuck if and only if the walk from it returns to a visited task.
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
