//! A copy of the instrumented locks with waiters: the holder of each, and its waiters in the order of their arrival.

use crate::clock::Scale;
use crate::registry::locks::{self, LockType, LockView, WaiterView, Who};
use crate::registry::permits::{self, HolderView};
use crate::stack::wait_set::WaitSet;
use crate::sys::modules;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::Location;

/// All locks with waiters.
#[derive(Debug, Default)]
pub(crate) struct Locks(pub(crate) Vec<Lock>);

/// A lock.
#[derive(Debug)]
pub(crate) struct Lock {
    pub(crate) number: LockNumber,
    pub(crate) what: &'static LockType,
    /// Where the lock was created; `None` for a constructor without a location, as of a `static`.
    created: Option<&'static Location<'static>>,
    /// The holder; unknown if the lock is free. Of several readers, the last one.
    pub(crate) holder: Who,
    /// Whether the holder reads, so others may hold it, too.
    pub(crate) is_shared: bool,
    /// Whether another task or thread may have the holder's guard by now.
    pub(crate) may_have_moved: bool,
    /// Nanoseconds since it was taken or released; `None` if the holder took it without waiting.
    pub(crate) since_ns: Option<u64>,
    /// Where it was taken: known if the holder waited for it, or if a rate is set.
    pub(crate) taken_at: Option<&'static WaitSet>,
    /// The number of waits that have ended. Their total time is `waited_ns`.
    pub(crate) waits: u64,
    pub(crate) waited_ns: u64,
    /// The permits, if it is a semaphore. Then `holder` is unknown.
    pub(crate) permits: Option<Permits>,
    /// In the order of their arrival; at least one.
    pub(crate) waiters: Vec<Waiter>,
}

/// The permits of a semaphore.
#[derive(Debug)]
pub(crate) struct Permits {
    /// The number of permits, taken or not.
    pub(crate) all: u64,
    /// The number of forgotten permits. `forgetter` has forgotten some last.
    pub(crate) forgotten: u64,
    pub(crate) forgetter: Who,
    /// In the order in which they took their permits.
    pub(crate) holders: Vec<Holder>,
}

/// A holder of permits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) who: Who,
    /// Whether another task or thread may have the permits by now.
    pub(crate) may_have_moved: bool,
    pub(crate) count: u32,
    pub(crate) since_ns: u64,
}

impl Permits {
    /// Whether another task or thread may have some of them by now.
    pub(crate) fn may_have_moved(&self) -> bool {
        self.holders.iter().any(|holder| holder.may_have_moved)
    }

    pub(crate) fn free(&self) -> u64 {
        let held = self.holders.iter().map(|holder| u64::from(holder.count));
        self.all.saturating_sub(held.sum())
    }
}

/// Who has a guard that may have been moved since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The task or thread that took the lock, as if the guard had not been moved.
    Taker,
    Unknown,
}

/// A lock's number and version.
pub(crate) type LockNumber = (u32, u32);

/// A waiter for a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub(crate) who: Who,
    /// Whether it waits to read.
    pub(crate) is_shared: bool,
    pub(crate) arrival: u64,
    pub(crate) since_ns: u64,
    /// The number of permits that it waits for.
    pub(crate) wanted: u32,
    /// The poll of its task in which the waiting future was polled last; 0 for a blocked thread.
    pub(crate) poll: u64,
    /// The registrations of that poll up to this one.
    pub(crate) waits: Option<&'static WaitSet>,
}

impl Locks {
    /// Takes the copy. The lock with the longest wait comes first.
    pub(crate) fn take(scale: &Scale) -> Self {
        let mut waiters: HashMap<LockNumber, Vec<Waiter>> = HashMap::new();
        for view in locks::waiters() {
            let of_lock = waiters.entry((view.lock, view.lock_version)).or_default();
            of_lock.push(waiter(&view, of_lock.last(), scale));
        }
        if waiters.is_empty() {
            return Locks::default();
        }
        let mut holders: HashMap<LockNumber, Vec<Holder>> = HashMap::new();
        for view in permits::holders() {
            let number = (view.lock, view.lock_version);
            if waiters.contains_key(&number) {
                holders
                    .entry(number)
                    .or_default()
                    .push(holder(&view, scale));
            }
        }
        let mut all: Vec<Lock> = locks::locks()
            .into_iter()
            .filter_map(|view| {
                let number = (view.number.get(), view.version);
                let holders = holders.remove(&number).unwrap_or_default();
                Some(lock(&view, holders, waiters.remove(&number)?, scale))
            })
            .collect();
        all.sort_by_key(|lock| std::cmp::Reverse(lock.longest_ns()));
        Locks(all)
    }
}

impl Lock {
    /// The holders that block the first waiter. Permits that may have been moved have an unknown holder: most permits that own
    /// their semaphore go to other tasks.
    pub(crate) fn holders(&self, moved: Moved) -> Vec<Who> {
        let Some(permits) = &self.permits else {
            return match (self.may_have_moved, moved) {
                (true, Moved::Unknown) => vec![Who::Unknown],
                _ => vec![self.holder],
            };
        };
        match self.is_free() {
            true => Vec::new(),
            false => {
                let holders = permits.holders.iter();
                let all: BTreeSet<u64> = holders
                    .map(|holder| match holder.may_have_moved {
                        true => Who::Unknown.pack(),
                        false => holder.who.pack(),
                    })
                    .collect();
                all.into_iter().map(Who::unpack).collect()
            }
        }
    }

    /// The first writer that waits before a reader. The reader waits for it, even if others read.
    pub(crate) fn writer_before(&self, reader: &Waiter) -> Option<Who> {
        let mut before = self.waiters.iter();
        let before = before.find(|other| other.arrival < reader.arrival && !other.is_shared);
        before.filter(|_| reader.is_shared).map(|writer| writer.who)
    }

    /// The waiter without which this one would have the lock: the first writer before a reader, if others read, or the first waiter
    /// for permits before one that wants no more than are free.
    pub(crate) fn before(&self, waiter: &Waiter) -> Option<Who> {
        match &self.permits {
            Some(permits) => {
                let first = self.waiters.first();
                let first = first.filter(|first| first.arrival < waiter.arrival);
                first.filter(|_| permits.free() >= u64::from(waiter.wanted))
            }
            None if self.is_shared => return self.writer_before(waiter),
            None => None,
        }
        .map(|first| first.who)
    }

    /// Whether nothing blocks the first waiter.
    pub(crate) fn is_free(&self) -> bool {
        match &self.permits {
            Some(permits) => self
                .waiters
                .first()
                .is_none_or(|first| permits.free() >= u64::from(first.wanted)),
            None => self.holder == Who::Unknown && !self.is_shared,
        }
    }

    /// The time of the longest wait.
    pub(crate) fn longest_ns(&self) -> u64 {
        let waits = self.waiters.iter().map(|waiter| waiter.since_ns);
        waits.max().unwrap_or(0)
    }

    /// Where it was created. A location inside of std, such as `Arc::default`, tells nothing and is left out.
    pub(crate) fn created(&self) -> Option<&'static Location<'static>> {
        self.created.filter(|at| !at.file().starts_with("/rustc/"))
    }

    /// `"Mutex<shop::Stock>"`.
    pub(crate) fn type_name(&self) -> String {
        let value = without_paths_of_std((self.what.value)());
        match self.what.kind {
            "" => value,
            kind => format!("{kind}<{value}>"),
        }
    }
}

/// `"HashMap<&str, shop::Price>"` for `"std::collections::hash::map::HashMap<&str, shop::Price>"`.
fn without_paths_of_std(name: &str) -> String {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut short = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let len = match is_of_path(first) {
            true => rest.find(|c| !is_of_path(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (part, after) = rest.split_at(len);
        let is_of_std = ["std::", "core::", "alloc::"]
            .iter()
            .any(|root| part.starts_with(root));
        let last = part.rsplit("::").next().unwrap_or(part);
        short.push_str(if is_of_std { last } else { part });
        rest = after;
    }
    short
}

fn lock(view: &LockView, mut holders: Vec<Holder>, waiters: Vec<Waiter>, scale: &Scale) -> Lock {
    // A guard that borrows a static can be moved to another task.
    let is_static = view.what.has_movable_guards && modules::contain(view.address);
    for holder in &mut holders {
        holder.may_have_moved |= is_static;
    }
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.since_ns));
    let permits = view.what.has_permits.then_some(Permits {
        all: view.permits,
        forgotten: view.forgotten,
        forgetter: view.holder,
        holders,
    });
    Lock {
        number: (view.number.get(), view.version),
        what: view.what,
        created: view.created,
        holder: match permits {
            Some(_) => Who::Unknown,
            None => view.holder,
        },
        permits,
        is_shared: view.is_shared,
        may_have_moved: view.is_movable || is_static,
        since_ns: (view.since != 0).then(|| scale.since(view.since)),
        taken_at: view.taken_at,
        waits: view.waits,
        waited_ns: scale.ns(view.waited),
        waiters,
    }
}

fn holder(view: &HolderView, scale: &Scale) -> Holder {
    Holder {
        who: view.who,
        may_have_moved: view.is_movable,
        count: view.count,
        since_ns: scale.since(view.since),
    }
}

/// `before` is the one before of the same lock. Two threads may have begun to wait at one tick; waiters differ all the same.
fn waiter(view: &WaiterView, before: Option<&Waiter>, scale: &Scale) -> Waiter {
    Waiter {
        who: view.who,
        is_shared: view.is_shared,
        arrival: before.map_or(view.since, |before| view.since.max(before.arrival + 1)),
        since_ns: scale.since(view.since),
        wanted: view.wanted,
        poll: view.poll,
        waits: view.waits,
    }
}

/// The number of locks with waiters.
pub(crate) fn count() -> usize {
    let waiters = locks::waiters().into_iter();
    let numbers: HashSet<LockNumber> = waiters
        .map(|waiter| (waiter.lock, waiter.lock_version))
        .collect();
    numbers.len()
}

/// How many waiters are in no copy, because there were too many at once.
pub(crate) fn missed() -> u64 {
    locks::missed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_of_one_tick_differ_and_keep_their_order() {
        let view = |since| WaiterView {
            lock: 1,
            lock_version: 1,
            who: Who::Task(since),
            is_shared: false,
            since,
            wanted: 0,
            poll: 1,
            waits: None,
        };
        let scale = Scale::now();
        let mut waiters: Vec<Waiter> = Vec::new();
        for since in [5, 5, 5, 6, 9] {
            waiters.push(waiter(&view(since), waiters.last(), &scale));
        }
        let arrivals: Vec<u64> = waiters.iter().map(|waiter| waiter.arrival).collect();
        assert_eq!(arrivals, [5, 6, 7, 8, 9]);
    }

    #[test]
    fn paths_of_std_are_left_out() {
        for (long, short) in [
            ("u32", "u32"),
            ("shop::Stock", "shop::Stock"),
            (
                "std::collections::hash::map::HashMap<&str, u64>",
                "HashMap<&str, u64>",
            ),
            (
                "alloc::vec::Vec<(shop::Price, core::option::Option<alloc::string::String>)>",
                "Vec<(shop::Price, Option<String>)>",
            ),
            ("std::sync::poison::mutex::Mutex<()>", "Mutex<()>"),
            ("dyn core::any::Any + core::marker::Send", "dyn Any + Send"),
            (
                "[shop::\u{fc}ber::std::X; 3]",
                "[shop::\u{fc}ber::std::X; 3]",
            ),
            ("", ""),
        ] {
            assert_eq!(without_paths_of_std(long), short);
        }
    }
}
