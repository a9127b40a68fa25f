//! The troubles in a dump, a sentence for each, the worst first.
//!
//! Other modules find conditions, locks, rates and losses. This one puts them in one order.

use super::conditions::{self, Condition};
use super::diagnosis::{OFF, unlisted};
use super::goroutine::Goroutines;
use super::held_locks::{self, described, wait};
use super::leaks::is_lost;
use super::selection::grouped;
use crate::registry::locks::Who;
use crate::registry::task::Kind;
use crate::snapshot::locks;
use crate::snapshot::tasks::{Row, State};
use crate::source;
use crate::stack::wait_set;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// The kinds of trouble, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TroubleKind {
    Off,
    Deadlock,
    Futurelock,
    Standstill,
    LongPoll,
    FullPool,
    Spin,
    LostTask,
    LongWait,
    LateTask,
    Ending,
    Growth,
    Unlisted,
    Loss,
}

/// One trouble.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: TroubleKind,
    /// The task in question, if the trouble is of one task.
    pub(crate) task: Option<u64>,
    /// A sentence without its full stop.
    pub(crate) text: String,
}

/// A poll, a wait for a lock, or a wait in a run queue that lasts so long is a trouble, as for a watchdog of one
/// second.
const LONG_NS: u64 = 1_000_000_000;

/// The most tasks of one kind of trouble that have a sentence each.
const MOST_NAMED: usize = 5;

/// The troubles in a dump of all tasks.
pub(crate) fn troubles(goroutines: &Goroutines) -> Vec<Trouble> {
    if !source::is_on() {
        return vec![trouble(TroubleKind::Off, OFF.to_owned())];
    }
    let mut troubles: Vec<Trouble> = goroutines.conditions.iter().map(of_condition).collect();
    troubles.extend(goroutines.long_polls());
    troubles.extend(goroutines.spins());
    troubles.extend(goroutines.lost());
    troubles.extend(goroutines.long_waits());
    troubles.extend(goroutines.late());
    let unlisted = unlisted(goroutines.unlisted, goroutines.all);
    troubles.extend(unlisted.map(|text| trouble(TroubleKind::Unlisted, text)));
    troubles.extend(losses().map(|text| trouble(TroubleKind::Loss, text)));
    // Stable: of one kind, the longest stays first.
    troubles.sort_by_key(|trouble| trouble.kind);
    troubles
}

fn trouble(kind: TroubleKind, text: String) -> Trouble {
    Trouble {
        kind,
        task: None,
        text,
    }
}

fn of_condition(condition: &Condition) -> Trouble {
    let kind = match condition {
        Condition::Deadlock { .. } => TroubleKind::Deadlock,
        Condition::Futurelock { .. } => TroubleKind::Futurelock,
        Condition::MayDeadlock { .. } => TroubleKind::Deadlock,
        #[cfg(feature = "decode")]
        Condition::GivenPermits(_) => TroubleKind::Futurelock,
        Condition::Growth { .. } => TroubleKind::Growth,
        Condition::FullPool(_) => TroubleKind::FullPool,
        Condition::Standstill { .. } => TroubleKind::Standstill,
        Condition::Ending { .. } => TroubleKind::Ending,
    };
    Trouble {
        kind,
        task: match condition {
            #[cfg(feature = "decode")]
            Condition::GivenPermits(given) => Some(given.task),
            Condition::MayDeadlock { tasks, .. } => tasks.first().copied(),
            _ => None,
        },
        text: condition.text(),
    }
}

/// The probe's losses since the process began.
fn losses() -> impl Iterator<Item = String> {
    [
        (
            wait_set::table_sizes().2,
            "captures of stacks: the tables are full",
        ),
        (
            crate::source::cpu::lost(),
            "samples of CPU profiles: the ring was full",
        ),
        (
            locks::missed(),
            "waits for locks: there were too many at once",
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("the probe lost {} {what}", grouped(count)))
}

impl Goroutines {
    /// A task with its name, or the name of its future.
    pub(super) fn with_name(&self, row: &Row) -> String {
        held_locks::goroutine(row.id, held_locks::name(&self.tasks, row).as_deref())
    }

    fn kind(&self, row: &Row) -> Kind {
        self.tasks.stack_keys[row.stack_key as usize].kind
    }

    fn state(&self, row: &Row) -> State {
        self.tasks.stack_keys[row.stack_key as usize].state
    }

    /// A sentence for each of the first tasks, and one for all others.
    fn told(
        &self,
        kind: TroubleKind,
        mut rows: Vec<&Row>,
        tell: impl Fn(&Row) -> String,
        others: &str,
    ) -> Vec<Trouble> {
        rows.sort_by_key(|row| std::cmp::Reverse(row.since_ns));
        let named = rows.iter().take(MOST_NAMED);
        let mut told: Vec<Trouble> = named
            .map(|row| Trouble {
                kind,
                task: Some(row.id),
                text: tell(row),
            })
            .collect();
        if rows.len() > told.len() {
            let more = grouped((rows.len() - told.len()) as u64);
            told.push(trouble(kind, format!("{more} more {others}")));
        }
        told
    }

    fn long_polls(&self) -> Vec<Trouble> {
        let rows = self.tasks.rows.iter().filter(|row| {
            self.state(row) == State::Running
                && row.since_ns >= LONG_NS
                && self.kind(row) != Kind::BlockOn
        });
        self.told(
            TroubleKind::LongPoll,
            rows.collect(),
            |row| {
                let mut text = format!(
                    "{} is in one poll for {:.1?}",
                    self.with_name(row),
                    Duration::from_nanos(row.since_ns)
                );
                for note in self.notes(row) {
                    text.push_str(", ");
                    text.push_str(note.strip_prefix("a long poll: ").unwrap_or(&note));
                }
                text
            },
            "tasks are in polls as long",
        )
    }

    fn spins(&self) -> Vec<Trouble> {
        let rows = self
            .tasks
            .rows
            .iter()
            .filter(|row| self.polls_per_second(row).is_some());
        self.told(
            TroubleKind::Spin,
            rows.collect(),
            |row| {
                let rate = self.polls_per_second(row).unwrap_or_default();
                format!("{} is polled all the time: {rate}", self.with_name(row))
            },
            "tasks are polled all the time",
        )
    }

    /// Tasks that nothing can wake.
    fn lost(&self) -> Vec<Trouble> {
        let rows = self.tasks.rows.iter();
        let rows = rows.filter(|row| is_lost(&self.tasks, row)).collect();
        self.told(
            TroubleKind::LostTask,
            rows,
            |row| {
                format!(
                    "nothing can wake {}, which waits for {:.1?}: no waker of it is left",
                    self.with_name(row),
                    Duration::from_nanos(row.since_ns)
                )
            },
            "tasks have no waker left",
        )
    }

    /// Locks with a long wait, without those of deadlocks and futurelocks, which have sentences of their own.
    fn long_waits(&self) -> Vec<Trouble> {
        let deadlocked: HashSet<Who> = conditions::deadlocks(&self.conditions)
            .flat_map(|deadlock| deadlock.members.iter().map(|member| member.who))
            .collect();
        let locks = self.locks.all().iter().filter(|lock| {
            let holders = lock.holders(locks::Moved::Unknown);
            lock.longest_ns() >= LONG_NS
                && !holders.iter().any(|who| deadlocked.contains(who))
                && self.locks.culprit(lock).is_none()
        });
        let told = locks.take(MOST_NAMED).map(|lock| {
            let held = self.locks.whose(lock, |tid| self.thread_of(tid));
            let text = format!(
                "{} for {}, the first for {:.1?}: {held}",
                wait(lock.waiters.len()),
                described(lock),
                Duration::from_nanos(lock.longest_ns())
            );
            trouble(TroubleKind::LongWait, text)
        });
        told.collect()
    }

    /// Tasks that have been ready for long, a sentence for each runtime.
    fn late(&self) -> Vec<Trouble> {
        let mut late: HashMap<u16, (&Row, usize)> = HashMap::new();
        let ready = self.tasks.rows.iter().filter(|row| {
            self.state(row) == State::Runnable
                && row.since_ns >= LONG_NS
                && self.kind(row) != Kind::Nested
        });
        for row in ready {
            let (first, count) = late.entry(row.runtime.0).or_insert((row, 0));
            *count += 1;
            if row.since_ns > first.since_ns {
                *first = row;
            }
        }
        let mut late: Vec<_> = late.into_values().collect();
        late.sort_by_key(|(row, _)| std::cmp::Reverse(row.since_ns));
        let told = late.into_iter().map(|(row, count)| {
            let of = match self.tasks.runtime(row.runtime) {
                Some(runtime) => format!("of runtime {runtime}"),
                None => "of a runtime without hooks of ours".to_owned(),
            };
            let first = Duration::from_nanos(row.since_ns);
            let text = match count {
                1 => format!(
                    "{} {of} is ready for {first:.1?} and not polled",
                    self.with_name(row)
                ),
                _ => format!(
                    "{} tasks {of} are ready and not polled, the first, {}, for {first:.1?}",
                    grouped(count as u64),
                    self.with_name(row)
                ),
            };
            Trouble {
                kind: TroubleKind::LateTask,
                task: Some(row.id),
                text,
            }
        });
        told.collect()
    }
}
