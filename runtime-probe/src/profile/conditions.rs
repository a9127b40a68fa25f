//! Faults of a whole runtime, which a reader of any page must know before any single task. One list for the index,
//! every dump and the watchdog.

#[cfg(feature = "decode")]
use super::given_permits::GivenPermits;
use super::held_locks::{self, wait};
use super::selection::grouped;
use super::thread_stacks::{in_drivers_wake, innermost_call, reads_stdin, sleeps_until_woken};
use crate::registry::locks::Who;
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::threads::{self, Thread};
use crate::snapshot::deadlocks::{Deadlock, Member, ReadsItself, Wanted};
use crate::snapshot::driver_wakes;
use crate::snapshot::endings::{self, Ending};
use crate::snapshot::futurelocks::Futurelock;
use crate::snapshot::pools::{self, Pool};
use crate::snapshot::standstill::{self, Stuck, Suspect};
use crate::snapshot::stuck_locks::StuckLocks;
use crate::snapshot::under_way::{self, UnderWay};
use crate::symbol::resolver::{Resolver, resolver};
use crate::symbol::role;
use crate::tally::growths::{self, Growth};
use std::panic::Location;
use std::time::{Duration, Instant};

/// A fault.
#[derive(Debug)]
pub(crate) enum Condition {
    /// Tasks or threads wait for locks or ends of each other.
    Deadlock {
        deadlock: Deadlock,
        /// By member: where the lock that it waits for was taken; empty if not known.
        taken_at: Vec<String>,
    },
    /// A future that its task no longer polls keeps a lock from the other waiters.
    Futurelock {
        futurelock: Futurelock,
        /// Where that future waited; empty if not known.
        waited_at: String,
    },
    /// Tasks that may wait for each other: each has taken a lock that the one before it waits for, or has that lock or an end of
    /// its channel among its locals.
    MayDeadlock { tasks: Vec<u64>, text: String },
    /// A futurelock of permits of tokio's own semaphores, such as room in a channel.
    #[cfg(feature = "decode")]
    GivenPermits(GivenPermits),
    /// A recent finding of a watchdog: a number keeps growing.
    Growth { growth: Growth, ago: Duration },
    /// Every thread of a blocking pool is busy, and closures wait.
    FullPool(Pool),
    /// No thread drives the timers and the I/O of a runtime.
    Standstill {
        runtime: (RuntimeNumber, String),
        since: Duration,
        stuck: Vec<Stuck>,
        asleep: usize,
        wakes: Vec<DriverWake>,
    },
    /// A runtime is being dropped.
    Ending {
        name: String,
        thread: String,
        since: Duration,
        left: Vec<String>,
    },
}

/// A parked worker that is in a wake by its driver.
#[derive(Debug)]
pub(crate) struct DriverWake {
    thread: Thread,
    /// The innermost function of the program's own.
    function: String,
    /// How long it has been found there.
    at_least: Duration,
    /// How long ago its thread did something else than that, or slept for events.
    at_most: Duration,
}

/// The conditions of now; empty if nothing is wrong.
pub(crate) fn now() -> Vec<Condition> {
    of(&under_way::now())
}

/// The standstills alone.
pub(crate) fn standstills() -> Vec<Condition> {
    crate::stack::unwind::refresh();
    let suspects = standstill::suspects(&under_way::now());
    if suspects.is_empty() {
        return Vec::new();
    }
    let mut resolver = resolver();
    let suspects = suspects.into_iter();
    suspects
        .filter_map(|suspect| stands_still(suspect, &mut resolver))
        .collect()
}

/// The conditions of now, given the polls and closures that run.
pub(super) fn of(under_way: &[UnderWay]) -> Vec<Condition> {
    // Before threads are interrupted for their stacks.
    crate::stack::unwind::refresh();
    let look = Look::take(under_way, StuckLocks::now());
    look.conditions(resolver)
}

/// The deadlocks among them.
pub(crate) fn deadlocks(conditions: &[Condition]) -> impl Iterator<Item = &Deadlock> {
    conditions.iter().filter_map(|condition| match condition {
        Condition::Deadlock { deadlock, .. } => Some(deadlock),
        _ => None,
    })
}

/// The tasks of the possible deadlocks among them.
pub(super) fn possibly_deadlocked(conditions: &[Condition]) -> impl Iterator<Item = u64> {
    let tasks = conditions.iter().filter_map(|condition| match condition {
        Condition::MayDeadlock { tasks, .. } => Some(tasks),
        _ => None,
    });
    tasks.flatten().copied()
}

/// The futurelocks among them, and where each future waited.
pub(super) fn futurelocks(conditions: &[Condition]) -> impl Iterator<Item = (&Futurelock, &str)> {
    conditions.iter().filter_map(|condition| match condition {
        Condition::Futurelock {
            futurelock,
            waited_at,
        } => Some((futurelock, waited_at.as_str())),
        _ => None,
    })
}

/// The findings before names are resolved.
pub(super) struct Look {
    stuck_locks: StuckLocks,
    full: Vec<Pool>,
    suspects: Vec<Suspect>,
    endings: Vec<Ending>,
}

impl Look {
    pub(super) fn take(under_way: &[UnderWay], stuck_locks: StuckLocks) -> Look {
        let mut full = pools::of(under_way);
        full.retain(Pool::is_full);
        Look {
            stuck_locks,
            full,
            suspects: standstill::suspects(under_way),
            endings: endings::now(under_way),
        }
    }

    /// The conditions. The names of functions tell which suspects are none.
    pub(super) fn conditions<R>(self, resolver: impl FnOnce() -> R) -> Vec<Condition>
    where
        R: std::ops::DerefMut<Target = Resolver>,
    {
        let mut conditions = Vec::new();
        let StuckLocks {
            deadlocks,
            possible,
            futurelocks,
        } = self.stuck_locks;
        let names = [
            deadlocks.len(),
            possible.len(),
            futurelocks.len(),
            self.suspects.len(),
            self.endings.len(),
        ];
        if names.iter().any(|names| *names > 0) {
            let mut resolver = resolver();
            let deadlocks = deadlocks.into_iter();
            conditions.extend(deadlocks.map(|deadlock| is_deadlock(deadlock, &mut resolver)));
            let possible = possible.into_iter();
            conditions.extend(possible.map(|cycle| may_deadlock(&cycle, &mut resolver)));
            let futurelocks = futurelocks.into_iter();
            conditions.extend(futurelocks.map(|one| is_futurelock(one, &mut resolver)));
            let endings = self.endings.into_iter();
            conditions.extend(endings.map(|ending| is_ending(ending, &mut resolver)));
            let suspects = self.suspects.into_iter();
            conditions.extend(suspects.filter_map(|suspect| stands_still(suspect, &mut resolver)));
        }
        conditions.extend(self.full.into_iter().map(Condition::FullPool));
        let growths = growths::of_late(Instant::now()).into_iter();
        conditions.extend(growths.map(|(growth, ago)| Condition::Growth { growth, ago }));
        conditions
    }
}

/// `None` if another worker may be waiting for the system's events.
fn stands_still(suspect: Suspect, resolver: &mut Resolver) -> Option<Condition> {
    let mut wakes = Vec::new();
    let (mut asleep, mut others) = (0, 0);
    for parked in &suspect.parked {
        let found = driver_wakes::lasting(parked, |stack| in_drivers_wake(stack, resolver));
        match found {
            Some((at_least, function)) => wakes.push(DriverWake {
                thread: parked.thread.clone(),
                function,
                at_least,
                at_most: parked.at_most,
            }),
            None if sleeps_until_woken(&parked.capture, resolver) => asleep += 1,
            None => others += 1,
        }
    }
    // The driver is with one worker: where that is in a wake, it does not matter what the others do.
    if wakes.is_empty() && (others > 0 || !suspect.are_all) {
        return None;
    }
    let longest = wakes.iter().map(|wake| wake.at_least).max();
    Some(Condition::Standstill {
        runtime: (suspect.runtime.number, suspect.runtime.name.to_string()),
        since: longest.unwrap_or(suspect.since),
        stuck: suspect.stuck,
        asleep,
        wakes,
    })
}

fn is_deadlock(deadlock: Deadlock, resolver: &mut Resolver) -> Condition {
    Condition::Deadlock {
        taken_at: places(&deadlock, resolver),
        deadlock,
    }
}

/// By member: where the lock that it waits for was taken; empty if not known.
fn places(deadlock: &Deadlock, resolver: &mut Resolver) -> Vec<String> {
    let members = deadlock.members.iter();
    let taken_at = members.map(|member| match member.wanted {
        Wanted::Lock { taken_at, .. } => held_locks::taken_at(taken_at, resolver),
        Wanted::End { .. } => None,
    });
    taken_at.map(Option::unwrap_or_default).collect()
}

/// A cycle over a guard that may have been moved out of it.
fn may_deadlock(cycle: &Deadlock, resolver: &mut Resolver) -> Condition {
    let tasks = cycle.members.iter().filter_map(|member| match member.who {
        Who::Task(id) => Some(id),
        _ => None,
    });
    let waits = waits(&steps(cycle, &places(cycle, resolver))).join("; ");
    Condition::MayDeadlock {
        tasks: tasks.collect(),
        text: format!("{waits}; unless a guard was moved to another task or thread"),
    }
}

fn is_futurelock(futurelock: Futurelock, resolver: &mut Resolver) -> Condition {
    Condition::Futurelock {
        waited_at: held_locks::taken_at(futurelock.waits, resolver).unwrap_or_default(),
        futurelock,
    }
}

/// A runtime that is being dropped, and what keeps it from its end.
fn is_ending(ending: Ending, resolver: &mut Resolver) -> Condition {
    let left = ending.left.iter().map(|left| {
        let is = match &left.stack {
            Some(stack) if reads_stdin(stack, resolver) => "reads standard input".to_owned(),
            stack => match (left.task, stack) {
                (Some(task), _) => format!("is in goroutine {task}"),
                (None, Some(stack)) => innermost_call(stack, resolver)
                    .map_or_else(|| "is not asked".to_owned(), |call| format!("is in {call}")),
                (None, None) => "did not answer".to_owned(),
            },
        };
        format!("{}, which {is}", named(&left.thread))
    });
    Condition::Ending {
        left: left.collect(),
        name: ending.name.to_string(),
        since: ending.since,
        thread: ending
            .thread
            .as_ref()
            .map_or_else(|| "a thread".to_owned(), named),
    }
}

impl Condition {
    /// The condition as a sentence.
    pub(crate) fn text(&self) -> String {
        match self {
            Condition::Deadlock { deadlock, taken_at } => is_deadlocked(deadlock, taken_at),
            Condition::Futurelock {
                futurelock,
                waited_at,
            } => {
                let who = task(futurelock.task, futurelock.type_name);
                format!(
                    "futurelock: {who} {}",
                    held_locks::given(futurelock, waited_at)
                )
            }
            Condition::MayDeadlock { text, .. } => format!("may be a deadlock: {text}"),
            #[cfg(feature = "decode")]
            Condition::GivenPermits(given) => given.text(),
            Condition::Growth { growth, ago } => {
                format!("{}, as a watchdog found {ago:.1?} ago", growth.text())
            }
            Condition::FullPool(pool) => full_pool(pool),
            Condition::Standstill {
                runtime: (_, name),
                since,
                stuck,
                asleep,
                wakes,
            } => match wakes.is_empty() {
                true => standstill(name, *since, stuck, *asleep),
                false => in_wakes(name, wakes),
            },
            Condition::Ending {
                name,
                thread,
                since,
                left,
            } => being_dropped(name, thread, *since, left),
        }
    }
}

/// The most workers, and the most spawn locations, that are named.
const MOST_NAMED: usize = 5;

fn standstill(runtime: &str, since: Duration, stuck: &[Stuck], asleep: usize) -> String {
    let mut workers: Vec<String> = stuck
        .iter()
        .take(MOST_NAMED)
        .map(|one| {
            format!(
                "{} polls goroutine {} for {:.1?}",
                named(&one.thread),
                one.task,
                one.since
            )
        })
        .collect();
    let more = stuck.len() - workers.len();
    if more > 0 {
        workers.push(format!("{more} more workers are in polls as long"));
    }
    match asleep {
        0 => {}
        1 => workers.push("the other worker sleeps until one of these wakes it".to_owned()),
        others => workers.push(format!(
            "the {others} other workers sleep until one of these wakes them"
        )),
    }
    format!(
        "timers and I/O of runtime {runtime} stand still since {since:.1?}: {}",
        workers.join(", ")
    )
}

fn in_wakes(runtime: &str, wakes: &[DriverWake]) -> String {
    let at_most = wakes.iter().map(|wake| wake.at_most).max();
    let workers: Vec<String> = wakes
        .iter()
        .map(|wake| {
            format!(
                "{} is in a wake by the driver, in {}, for {:.1?} at least",
                named(&wake.thread),
                wake.function,
                wake.at_least
            )
        })
        .collect();
    format!(
        "timers and I/O of runtime {runtime} stand still since {:.1?} at most: {}",
        at_most.unwrap_or_default(),
        workers.join(", ")
    )
}

/// A task, with the name of its future if known.
fn task(id: u64, type_name: Option<&'static str>) -> String {
    held_locks::goroutine(id, type_name.map(role::root_name).as_deref())
}

fn is_deadlocked(deadlock: &Deadlock, taken_at: &[String]) -> String {
    let mut waits = waits(&steps(deadlock, taken_at));
    if !deadlock.behind.is_empty() {
        waits.push(format!("{} behind it", wait(deadlock.behind.len())));
    }
    format!("deadlock: {}", waits.join("; "))
}

fn waits(steps: &[Step<'_>]) -> Vec<String> {
    let named = steps.iter().take(MOST_NAMED);
    let mut waits: Vec<String> = named
        .map(|step| {
            let (waits, holds) = (&step.waits, &step.holds);
            let wanted = match &step.wants {
                Wants::Lock { lock, itself, .. } if !itself.is_empty() => {
                    format!("{lock} that {itself}")
                }
                Wants::Lock {
                    lock,
                    is_once,
                    may_have_moved,
                    taken_at,
                    ..
                } => {
                    let since = held_locks::since_where(taken_at);
                    match (is_once, may_have_moved) {
                        (true, _) => format!("{lock}, whose value {holds} makes{since}"),
                        (false, true) => format!("{lock} that {holds} took{since}"),
                        (false, false) => format!("{lock} that {holds} holds{since}"),
                    }
                }
                Wants::End { of_any: 1 } => format!("{holds} to end"),
                Wants::End { of_any } => {
                    let tasks = grouped(*of_any as u64);
                    format!("one of {tasks} tasks of a JoinSet to end, {holds} among them")
                }
            };
            format!("{waits} waits for {wanted}, for {:.1?}", step.since)
        })
        .collect();
    let more = steps.len() - waits.len();
    if more > 0 {
        waits.push(format!("{more} more are in the cycle"));
    }
    waits
}

/// A wait in a cycle.
pub(crate) struct Step<'d> {
    /// The task or thread that waits, by its number and its name.
    pub(crate) waits: String,
    pub(crate) wants: Wants<'d>,
    /// The holder, or the task to end, which waits in the next step.
    pub(crate) holds: String,
    pub(crate) since: Duration,
}

/// The object of a wait in a cycle.
pub(crate) enum Wants<'d> {
    Lock {
        lock: String,
        /// The lock is a cell whose value is being initialized.
        is_once: bool,
        /// The task of the next step may have given the guard away.
        may_have_moved: bool,
        /// Where it was taken; empty if not known.
        taken_at: &'d str,
        /// The text for a waiter that itself has the lock for reading; otherwise empty.
        itself: String,
    },
    /// The end of the task in the next step, or of any of `of_any` tasks of a `JoinSet`.
    End { of_any: usize },
}

/// The waits of a cycle.
pub(super) fn steps<'d>(deadlock: &Deadlock, taken_at: &'d [String]) -> Vec<Step<'d>> {
    let name = |member: &Member| match member.who {
        Who::Task(id) => task(id, member.type_name),
        Who::Thread(tid) => named_by_id(tid, threads::alive().values().map(|(thread, _)| thread)),
        Who::Unknown => "an unknown thread".to_owned(),
    };
    let members = &deadlock.members;
    let pairs = members.iter().zip(members.iter().cycle().skip(1));
    pairs
        .zip(taken_at)
        .map(|((member, next), taken_at)| Step {
            waits: name(member),
            wants: match &member.wanted {
                Wanted::Lock {
                    lock,
                    created,
                    reads_itself,
                    is_once,
                    may_have_moved,
                    ..
                } => Wants::Lock {
                    lock: held_locks::named(lock, *created),
                    is_once: *is_once,
                    may_have_moved: *may_have_moved,
                    taken_at,
                    itself: reads_itself.map_or_else(String::new, |reads| {
                        itself(reads, *may_have_moved, taken_at)
                    }),
                },
                Wanted::End { of_any } => Wants::End { of_any: *of_any },
            },
            holds: name(next),
            since: Duration::from_nanos(member.since_ns),
        })
        .collect()
}

/// The text after the lock's name, for a waiter that has the lock for reading.
fn itself(reads: ReadsItself, may_have_moved: bool, taken_at: &str) -> String {
    let itself = match may_have_moved {
        true => "it took for reading itself",
        false => "it reads itself",
    };
    let itself = match taken_at {
        "" => itself.to_owned(),
        place => format!("{itself}, taken at {place},"),
    };
    let writer = match reads {
        ReadsItself::ToWrite => return format!("{itself} and wants to write"),
        ReadsItself::Behind(Who::Task(id)) => task(id, None),
        ReadsItself::Behind(Who::Thread(tid)) => format!("thread {tid}"),
        ReadsItself::Behind(Who::Unknown) => "an unknown thread".to_owned(),
    };
    format!(
        "{itself} and wants to read once more, behind {writer}, which has asked in between to write"
    )
}

fn being_dropped(name: &str, thread: &str, since: Duration, left: &[String]) -> String {
    let mut waits_for = left.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>();
    let more = left.len() - waits_for.len();
    if more > 0 {
        waits_for.push(format!("{more} threads more"));
    }
    let why = match waits_for.is_empty() {
        true => String::new(),
        false => format!("; it waits for {}", waits_for.join(", ")),
    };
    format!("runtime {name} is being dropped since {since:.1?} by {thread}{why}")
}

/// A thread by its kernel id, with its name if it is one of `threads`.
pub(super) fn named_by_id<'a>(tid: u32, mut threads: impl Iterator<Item = &'a Thread>) -> String {
    let known = threads.find(|thread| thread.tid == tid);
    known.map_or_else(|| format!("thread {tid}"), named)
}

/// A thread by its kernel id and its name.
pub(super) fn named(thread: &Thread) -> String {
    match thread.name.is_empty() {
        true => format!("thread {}", thread.tid),
        false => format!("thread {} ({})", thread.tid, thread.name),
    }
}

fn full_pool(pool: &Pool) -> String {
    let of = match pool.runtime.blocking_threads {
        Some(limit) => format!("{} of {}", grouped(pool.threads), grouped(limit as u64)),
        None => format!("all {}", grouped(pool.threads)),
    };
    let busy = match pool.running.is_empty() {
        true => String::new(),
        false => format!(" with {}", spawned_at(&pool.running)),
    };
    format!(
        "blocking pool of runtime {}: {of} threads busy{busy}; {} queued, the first for {:.1?}: {}",
        pool.runtime.name,
        grouped(pool.queued),
        pool.oldest,
        spawned_at(&pool.waiting)
    )
}

fn spawned_at(sites: &[(Option<&Location<'_>>, u64)]) -> String {
    let named = sites.iter().take(MOST_NAMED);
    let mut texts: Vec<String> = named
        .map(|(location, count)| match location {
            Some(at) => format!("{} spawned at {at}", grouped(*count)),
            None => format!(
                "{} of tokio's own, for files, names and standard streams",
                grouped(*count)
            ),
        })
        .collect();
    let more: u64 = sites.iter().skip(MOST_NAMED).map(|(_, count)| count).sum();
    if more > 0 {
        texts.push(format!("{} spawned elsewhere", grouped(more)));
    }
    texts.join(", ")
}
