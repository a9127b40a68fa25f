//! A dump's notes on locks: for a task that waits, the holder of the lock; for the holder, the waiters.

use super::leaf_stacks::own_frame;
use super::selection::grouped;
use crate::registry::locks::Who;
use crate::snapshot::futurelocks::Futurelock;
use crate::snapshot::locks::{Lock, LockNumber, Locks, Permits, Waiter};
use crate::snapshot::tasks::{Row, State, Tasks};
use crate::stack::wait_set::WaitSet;
use crate::symbol::resolver::Resolver;
use crate::sys::thread_status::ThreadStatus;
use runtime_dump::naming::role::root_name;
use runtime_dump::source_path::shortened;
use runtime_dump::stack::Frame;
use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::time::Duration;

/// The most holders of a semaphore's permits that are named.
const MOST_HOLDERS: usize = 3;

/// A lock that was granted to a task, through a future that the task does not poll.
#[derive(Debug)]
struct Given {
    task: u64,
    /// The note on the task.
    text: String,
}

/// The locks of a dump.
#[derive(Debug, Default)]
pub(super) struct HeldLocks {
    locks: Locks,
    /// By task: (index in `locks`, index among the lock's waiters).
    waits: HashMap<u64, Vec<(usize, usize)>>,
    /// By task: the indices in `locks` of the locks that it took.
    holds: HashMap<u64, Vec<usize>>,
    /// The listed tasks among holders and waiters. Other ones have ended.
    listed: HashSet<u64>,
    /// The threads among the holders that have ended. They have forgotten their guards, or given them away.
    ended: HashSet<u32>,
    /// The names of the holders, or else those of their futures.
    names: HashMap<u64, String>,
    /// By lock: the futurelocks.
    given: HashMap<LockNumber, Given>,
    /// By lock: where the holder took it, if known.
    taken_at: HashMap<LockNumber, String>,
}

impl HeldLocks {
    pub(super) fn of<'f>(
        locks: Locks,
        futurelocks: impl Iterator<Item = (&'f Futurelock, &'f str)>,
        tasks: &Tasks,
        resolver: &mut Resolver,
    ) -> Self {
        let mut held = HeldLocks::default();
        for (at, lock) in locks.0.iter().enumerate() {
            let of_permits = lock.permits.iter().flat_map(|permits| &permits.holders);
            let holders: HashSet<Who> = of_permits
                .map(|holder| holder.who)
                .chain([lock.holder])
                .collect();
            for holder in holders {
                if let Who::Task(id) = holder {
                    held.holds.entry(id).or_default().push(at);
                }
            }
            for (place, waiter) in lock.waiters.iter().enumerate() {
                if let Who::Task(id) = waiter.who {
                    held.waits.entry(id).or_default().push((at, place));
                }
            }
        }
        held.ended = locks.0.iter().filter_map(ended_holder).collect();
        held.locks = locks;
        if !held.holds.is_empty() || !held.waits.is_empty() {
            let rows = tasks.rows.iter();
            let permits = held.locks.0.iter().filter_map(|lock| lock.permits.as_ref());
            let forgetters: HashSet<Who> = permits.map(|permits| permits.forgetter).collect();
            let wanted = rows.filter(|row| {
                held.holds.contains_key(&row.id)
                    || held.waits.contains_key(&row.id)
                    || forgetters.contains(&Who::Task(row.id))
            });
            held.listed = wanted.map(|row| row.id).collect();
            let rows = tasks.rows.iter();
            let holders = rows.filter(|row| held.holds.contains_key(&row.id));
            let names = holders.filter_map(|row| Some((row.id, name(tasks, row)?)));
            held.names = names.collect();
        }
        let given = futurelocks.map(|(futurelock, waited_at)| {
            let text = given(futurelock, waited_at);
            let task = futurelock.task;
            (futurelock.number, Given { task, text })
        });
        held.given = given.collect();
        let locks = held.locks.0.iter();
        let taken =
            locks.filter_map(|lock| Some((lock.number, taken_at(lock.taken_at, resolver)?)));
        held.taken_at = taken.collect();
        held
    }

    pub(super) fn all(&self) -> &[Lock] {
        &self.locks.0
    }

    /// Whether that task waits for one of these locks.
    #[cfg(feature = "decode")]
    pub(super) fn are_waited_for_by(&self, task: u64) -> bool {
        self.waits.contains_key(&task)
    }

    /// The holder of a lock, or the task that it was granted to: `"held by goroutine 431 since 2.1s"`.
    pub(super) fn whose(&self, lock: &Lock, thread: impl Fn(u32) -> String) -> String {
        if let Some(id) = self.culprit(lock) {
            return format!(
                "given to goroutine {id}, which has been polled since without taking it"
            );
        }
        self.held_by(lock, 0, &thread)
            .unwrap_or_else(|| self.on_its_way(lock, 0, &thread))
    }

    /// A lock without a holder is its first waiter's, which takes it at its next poll. A task whose coop budget is used up gets a free
    /// lock so, too: tokio's lock is taken before the budget is asked for, and `lock()` returns `Pending`.
    fn on_its_way(&self, lock: &Lock, task: u64, thread: &impl Fn(u32) -> String) -> String {
        match lock.waiters.first().map(|first| first.who) {
            Some(Who::Task(id)) if id == task => "on its way to this very task".to_owned(),
            Some(first) => format!("on its way to {}", self.who(first, thread)),
            None => "on its way to the next that waits".to_owned(),
        }
    }

    /// The notes on a task. `thread` returns the name of a thread.
    pub(super) fn notes(
        &self,
        row: &Row,
        state: State,
        thread: impl Fn(u32) -> String,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        for (at, place) in self.waits.get(&row.id).into_iter().flatten() {
            let lock = &self.locks.0[*at];
            let waiter = &lock.waiters[*place];
            let lasts = waiter.poll == 0 || waiter.poll == row.polls && state == State::Waiting;
            if lasts {
                notes.push(self.waits_for(lock, waiter, row.id, &thread));
            } else if *place == 0 && self.culprit(lock) == Some(row.id) {
                notes.extend(self.given.get(&lock.number).map(|given| given.text.clone()));
            }
        }
        for at in self.holds.get(&row.id).into_iter().flatten() {
            notes.push(self.holds(&self.locks.0[*at], row.id));
        }
        notes
    }

    fn waits_for(
        &self,
        lock: &Lock,
        waiter: &Waiter,
        task: u64,
        thread: &impl Fn(u32) -> String,
    ) -> String {
        let mut text = format!("waits for {}", described(lock));
        match self.culprit(lock) {
            Some(id) if id == task => text.push_str(", which it was given itself"),
            Some(id) => text.push_str(&format!(
                ": it was given to goroutine {id}, which has been polled since without taking it"
            )),
            None => {
                let held = self.held_by(lock, task, thread);
                // Waiters for a finished value block no others.
                if let Some(held) = held
                    .or_else(|| (!lock.what.is_once).then(|| self.on_its_way(lock, task, thread)))
                {
                    text.push_str(&format!(", {held}"));
                }
                if lock.is_shared
                    && let Some(writer) = lock.writer_before(waiter)
                {
                    let writer = self.who(writer, thread);
                    text.push_str(&format!(", and behind {writer}, which waits to write"));
                }
            }
        }
        match lock.waiters.len() - 1 {
            0 => {}
            1 => text.push_str("; 1 more waits for it"),
            others => {
                let others = grouped(others as u64);
                text.push_str(&format!("; {others} more wait for it"));
            }
        }
        text
    }

    fn held_by(&self, lock: &Lock, task: u64, thread: &impl Fn(u32) -> String) -> Option<String> {
        if let Some(permits) = &lock.permits {
            let first = lock.waiters.first().map_or(0, |waiter| waiter.wanted);
            return Some(self.permits_of(permits, u64::from(first), task, thread));
        }
        // A guard that a task or thread has left behind is with another one.
        let is_left = match lock.holder {
            Who::Task(id) => !self.listed.contains(&id),
            Who::Thread(tid) => self.ended.contains(&tid),
            Who::Unknown => false,
        };
        let held = match lock.is_shared {
            true => "taken for reading",
            false if lock.what.is_once => "being made",
            false if lock.may_have_moved || is_left => "taken",
            false => "held",
        };
        let mut since = match lock.since_ns {
            Some(ns) => format!(" since {:.1?}", Duration::from_nanos(ns)),
            None => String::new(),
        };
        since.push_str(&since_where(self.place_of(lock)));
        Some(match lock.holder {
            Who::Task(id) if id == task => format!("{held} by this very task{since}"),
            Who::Task(id) if self.listed.contains(&id) => {
                format!("{held} by {}{since}", self.task(id))
            }
            Who::Task(id) => {
                format!("{held} by goroutine {id}{since}, which has ended or is not listed")
            }
            Who::Thread(tid) if self.ended.contains(&tid) => {
                format!("{held} by thread {tid}{since}, which has ended")
            }
            Who::Thread(tid) => format!("{held} by {}{since}", thread(tid)),
            Who::Unknown if lock.what.has_readers => {
                "which nothing is known to have: readers may".to_owned()
            }
            Who::Unknown => return None,
        })
    }

    /// `"0 of 10 permits free, held by goroutine 431 since 2.1s (2 permits) and 3 more"`. `first`: how many permits the
    /// first waiter wants.
    fn permits_of(
        &self,
        permits: &Permits,
        first: u64,
        task: u64,
        thread: &impl Fn(u32) -> String,
    ) -> String {
        let name = |who| match who {
            Who::Task(id) if id == task => "this very task".to_owned(),
            Who::Task(id) if !self.listed.contains(&id) => {
                format!("goroutine {id}, which has ended or is not listed,")
            }
            who => self.who(who, thread),
        };
        let mut text = match permits.all {
            0 => "which has no permits".to_owned(),
            all => format!(
                "{} of {} permits free",
                grouped(permits.free()),
                grouped(all)
            ),
        };
        if permits.all > 0 && first > 1 && first > permits.free() {
            // tokio gives the free permits to the first waiter, and counts them as taken.
            let (keeps, never) = (permits.free() > 0, first > permits.all);
            text.push_str(&format!(
                ", the first that waits wants {}{}{}",
                grouped(first),
                if keeps {
                    " and keeps the free ones"
                } else {
                    ""
                },
                if never { ", more than there are" } else { "" },
            ));
        }
        let mut holders: Vec<String> = permits
            .holders
            .iter()
            .take(MOST_HOLDERS)
            .map(|holder| {
                let since = Duration::from_nanos(holder.since_ns);
                let count = match holder.count {
                    1 => String::new(),
                    several => format!(" ({} permits)", grouped(u64::from(several))),
                };
                format!("{} since {since:.1?}{count}", name(holder.who))
            })
            .collect();
        let more = permits.holders.len() - holders.len();
        if more > 0 {
            holders.push(format!("{} more", grouped(more as u64)));
        }
        if !holders.is_empty() {
            let held = match permits.may_have_moved() {
                true => "taken",
                false => "held",
            };
            text.push_str(&format!(", {held} by {}", holders.join(", ")));
        }
        if permits.forgotten > 0 {
            let (forgotten, last) = (grouped(permits.forgotten), name(permits.forgetter));
            text.push_str(&format!(
                ", {forgotten} were forgotten since its first use, last by {}",
                last.trim_end_matches(',')
            ));
        }
        text
    }

    fn who(&self, who: Who, thread: &impl Fn(u32) -> String) -> String {
        match who {
            Who::Task(id) => self.task(id),
            Who::Thread(tid) => thread(tid),
            Who::Unknown => "an unknown thread".to_owned(),
        }
    }

    fn task(&self, id: u64) -> String {
        goroutine(id, self.names.get(&id).map(String::as_str))
    }

    /// Where a lock was taken; empty if not known.
    pub(super) fn place_of(&self, lock: &Lock) -> &str {
        self.taken_at.get(&lock.number).map_or("", String::as_str)
    }

    fn holds(&self, lock: &Lock, task: u64) -> String {
        if let Some(permits) = &lock.permits {
            let own = permits.holders.iter();
            let own = own.filter(|holder| holder.who == Who::Task(task));
            let own: u64 = own.map(|holder| u64::from(holder.count)).sum();
            let has = match permits.may_have_moved() {
                true => "took",
                false => "has",
            };
            return format!(
                "{has} {} of {} permits of {}: {} for some, the first for {:.1?}",
                grouped(own),
                grouped(permits.all),
                described(lock),
                wait(lock.waiters.len()),
                Duration::from_nanos(lock.longest_ns())
            );
        }
        let took = match lock.is_shared {
            true => "took for reading",
            false if lock.what.is_once => "makes the value of",
            false if lock.may_have_moved => "took",
            false => "holds",
        };
        let place = self.place_of(lock);
        let taken = match (lock.since_ns, place) {
            (Some(ns), "") => format!(", taken {:.1?} ago", Duration::from_nanos(ns)),
            (Some(ns), place) => {
                format!(", taken {:.1?} ago at {place}", Duration::from_nanos(ns))
            }
            (None, place) => since_where(place),
        };
        let wait = wait(lock.waiters.len());
        format!(
            "{took} {}{taken}: {wait} for it, the first for {:.1?}",
            described(lock),
            Duration::from_nanos(lock.longest_ns())
        )
    }

    /// The task that was granted the lock through a future that it no longer polls.
    pub(super) fn culprit(&self, lock: &Lock) -> Option<u64> {
        self.given.get(&lock.number).map(|given| given.task)
    }
}

/// The holder of a lock, if it is a thread that has ended.
fn ended_holder(lock: &Lock) -> Option<u32> {
    let Who::Thread(tid) = lock.holder else {
        return None;
    };
    matches!(ThreadStatus::read(tid), Ok(None)).then_some(tid)
}

/// `"goroutine 431 (shop::audit_books)"`.
pub(super) fn goroutine(id: u64, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("goroutine {id} ({name})"),
        None => format!("goroutine {id}"),
    }
}

/// `"was given a Mutex<shop::Stock> 2.1s ago, through the future that waited at shop.rs:12, which it has not polled
/// since: ..."`. The place is empty if not known.
pub(super) fn given(futurelock: &Futurelock, place: &str) -> String {
    let future = match place {
        "" => "a future".to_owned(),
        place => format!("the future that waited at {place}"),
    };
    format!(
        "was given {}{} {:.1?} ago, through {future}, which it has not polled since: {} behind it",
        if futurelock.is_of_permits {
            "permits of "
        } else {
            ""
        },
        named(&futurelock.lock, futurelock.created),
        Duration::from_nanos(futurelock.since_ns),
        wait(futurelock.behind)
    )
}

/// The name that the user gave a task, or else that of its future.
pub(super) fn name(tasks: &Tasks, row: &Row) -> Option<String> {
    let given = tasks.names.get(&row.name);
    let meta = tasks.stack_keys[row.stack_key as usize].meta;
    given
        .map(ToString::to_string)
        .or_else(|| Some(root_name(meta?.type_name())))
}

/// A lock by type and creation site.
pub(super) fn described(lock: &Lock) -> String {
    named(&lock.type_name(), lock.created())
}

/// A lock of that type: `"a Mutex<shop::Stock> created at src/shop.rs:12"`.
pub(super) fn named(type_name: &str, created: Option<&Location<'_>>) -> String {
    match created {
        Some(at) => format!(
            "a {type_name} created at {}:{}",
            shortened(at.file()),
            at.line()
        ),
        None => format!("a {type_name}"),
    }
}

/// The line of the application that took a lock.
pub(super) fn taken_at(waits: Option<&'static WaitSet>, resolver: &mut Resolver) -> Option<String> {
    Some(place(&own_frame(waits?.last, resolver)?))
}

/// `", taken at shop::refresh (src/shop.rs:12)"`, if that is known.
pub(super) fn since_where(place: &str) -> String {
    match place {
        "" => String::new(),
        place => format!(", taken at {place}"),
    }
}

/// `"1 waits"`, `"1,024 wait"`.
pub(super) fn wait(number: usize) -> String {
    match number {
        1 => "1 waits".to_owned(),
        several => format!("{} wait", grouped(several as u64)),
    }
}

/// A line of the application: `"shop::refresh (src/shop.rs:12)"`.
pub(super) fn place(frame: &Frame) -> String {
    match frame.line {
        0 => frame.function.to_string(),
        line => format!("{} ({}:{line})", frame.function, shortened(&frame.file)),
    }
}
