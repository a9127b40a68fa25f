//! Waits that have not ended. Without them, endless waits would be in no profile. No rate is needed: records and stacks
//! show them.
//!
//! The begin of a task's wait is known. Of a thread, the begin of its poll or closure is known, so it has waited at
//! most that long. The wait of a thread outside of both is unknown, and counted as 0.

use super::condensed::Crates;
use super::goroutine::{missing, spawned};
use super::leaf_stacks::assemble;
use super::permit_waits::is_for_permits;
use super::thread_stacks::of_waiting;
use crate::labels::LabelSet;
use crate::registry::task::Kind;
use crate::snapshot::remaining::Remaining;
use crate::snapshot::stuck::{self, Asleep};
use crate::snapshot::tasks::{self, Tasks};
use crate::snapshot::waits::Waited;
use crate::symbol::name::Names;
use crate::symbol::reason::{Reason, Sort, sort_of};
use crate::symbol::resolver::Resolver;
use crate::tally::waits::{How, WaitSite};
use runtime_dump::profile::contention::Contention;
use runtime_dump::stack::Stack;
use std::collections::HashMap;

/// The waits of now.
pub(super) struct Ongoing {
    /// One wait for each task.
    pub(super) tasks: Vec<Waited>,
    /// Threads that wait in locks, channels and the like.
    pub(super) threads: Vec<Blocked>,
}

/// A thread that waits.
pub(super) struct Blocked {
    pub(super) wait: Wait,
    /// The most nanoseconds that it can have waited; `None` outside of any poll or closure.
    delay_ns: Option<u64>,
}

/// The waits of now, without names.
pub(super) struct Look {
    pub(super) tasks: Tasks,
    threads: Vec<Asleep>,
}

impl Look {
    /// Reads all tasks, and asks all sleeping threads for their stacks.
    pub(super) fn take() -> Self {
        let tasks = Tasks::take();
        let threads = stuck::threads(&tasks);
        Look { tasks, threads }
    }
}

impl Ongoing {
    pub(super) fn of(look: &Look, crates: &Crates, resolver: &mut Resolver) -> Self {
        let threads = look.threads.iter();
        Ongoing {
            threads: threads
                .filter_map(|thread| Blocked::of(thread, crates, resolver))
                .collect(),
            tasks: suspended(&look.tasks),
        }
    }

    /// A remark on the times of threads; `None` if no thread is `shown`.
    pub(super) fn remark(&self, shown: impl Fn(&Wait) -> bool) -> Option<String> {
        let threads: Vec<_> = self.threads.iter().filter(|one| shown(&one.wait)).collect();
        let outside = threads.iter().filter(|one| one.delay_ns.is_none()).count();
        (!threads.is_empty()).then(|| {
            format!(
                "threads that wait now: {}; inside a poll or closure the delay is the time since that began, the most that it can be; outside of any ({outside} of them) it is not known, and counted as 0",
                threads.len()
            )
        })
    }
}

impl Blocked {
    /// `None` for a thread that is idle, or waits for I/O or time.
    fn of(thread: &Asleep, crates: &Crates, resolver: &mut Resolver) -> Option<Self> {
        let (mut stack, reason) = of_waiting(&thread.stack, resolver);
        crates.condense(&mut stack);
        let waits = sort_of(reason) == Sort::Contention;
        waits.then(|| Blocked {
            wait: Wait {
                stack,
                reason: match thread.within {
                    Some(within) if !within.is_closure => {
                        format!("{}, blocks a worker", reason.text())
                    }
                    _ => reason.text().to_owned(),
                },
                leaves: vec![reason],
            },
            delay_ns: thread.within.map(|within| within.since_ns),
        })
    }

    pub(super) fn contention(&self) -> Contention<'_> {
        Contention {
            stack: &self.wait.stack,
            reason: &self.wait.reason,
            labels: &[],
            count: 1.0,
            delay_ns: self.delay_ns.unwrap_or(0) as f64,
        }
    }
}

/// The waiting tasks.
fn suspended(tasks: &Tasks) -> Vec<Waited> {
    let waiting = |row: &&tasks::Row| {
        let key = &tasks.stack_keys[row.stack_key as usize];
        key.state == tasks::State::Waiting
    };
    let rows = tasks.rows.iter().filter(waiting);
    rows.map(|row| {
        let key = &tasks.stack_keys[row.stack_key as usize];
        let site = tasks.sites.get(row.site as usize);
        let unknown = key.waits.is_none() || key.kind == Kind::Foreign;
        Waited {
            site: WaitSite {
                waits: key.waits,
                around: key.around,
                spawned_at: site.filter(|_| unknown).map(|site| site.location),
                how: How::Suspended,
                labels: tasks.labels_of(row.id),
            },
            remaining: key.remaining,
            count: 1.0,
            delay_ns: row.since_ns as f64,
        }
    })
    .collect()
}

/// The reason of a wait that the names do not tell.
const UNKNOWN: &str = "unknown";

/// Waits with equal keys have equal stacks and reasons. Labels are not part of the key.
pub(super) type Key = ([usize; 4], Remaining);

pub(super) fn key(waited: &Waited) -> Key {
    let site = WaitSite {
        labels: LabelSet::NONE,
        ..waited.site
    };
    (site.addresses(), waited.remaining)
}

/// Pairs of key and value, for encoders.
type Pairs = Vec<(&'static str, &'static str)>;

/// The labels of the waits, by set.
pub(super) fn labels_of<'w>(
    waits: impl IntoIterator<Item = &'w Waited>,
) -> HashMap<LabelSet, Pairs> {
    let sets = waits.into_iter().map(|waited| waited.site.labels);
    sets.map(|set| (set, set.pairs())).collect()
}

/// The stack and the reason of a wait.
pub(super) struct Wait {
    pub(super) stack: Stack,
    pub(super) reason: String,
    /// The reason of each branch.
    leaves: Vec<Reason>,
}

impl Wait {
    /// The kind of wait of each branch.
    pub(super) fn sorts(&self) -> impl Iterator<Item = Sort> {
        self.leaves.iter().copied().map(sort_of)
    }

    /// Whether permits of tokio's own semaphores are waited for, in any branch.
    pub(super) fn is_for_permits(&self) -> bool {
        is_for_permits(self.leaves.iter().copied(), &self.stack)
    }

    /// Whether any branch waits for a lock.
    pub(super) fn is_for_a_lock(&self) -> bool {
        self.leaves.iter().copied().any(Reason::is_lock)
    }

    pub(super) fn at(waited: &Waited, crates: &Crates, resolver: &mut Resolver) -> Self {
        let mut wait = Wait::whole(waited, resolver);
        crates.condense(&mut wait.stack);
        wait
    }

    fn whole(waited: &Waited, resolver: &mut Resolver) -> Self {
        let site = &waited.site;
        let unknown = |stack| Wait {
            stack,
            reason: UNKNOWN.to_owned(),
            leaves: vec![Reason::Unknown],
        };
        match (site.waits, site.spawned_at) {
            (Some(waits), _) => {
                let found = assemble(waits, waited.remaining, site.around, Names::Short, resolver);
                let reason = match found.reason {
                    Reason::Unknown => UNKNOWN,
                    known => known.text(),
                };
                Wait {
                    stack: found.stack,
                    reason: match site.how {
                        How::Worker => format!("{reason}, blocks a worker"),
                        How::Suspended | How::Thread => reason.to_owned(),
                    },
                    leaves: found.leaves,
                }
            }
            (None, Some(location)) => unknown(spawned(location, None, resolver)),
            (None, None) => unknown(missing("more places than are kept apart")),
        }
    }
}
