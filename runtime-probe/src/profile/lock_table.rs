//! Locks with waiters: each with its holder, and with its waiters by place.

use super::conditions::{self, Condition};
use super::diagnosis::OFF;
use super::goroutine::Goroutines;
use super::goroutine_forms::Lines;
use super::held_locks::{described, goroutine, name, place, wait};
use super::leaf_stacks::own_frame;
use super::selection::{Selection, grouped};
use crate::registry::locks::Who;
use crate::snapshot::deadlocks;
use crate::snapshot::locks::{self, Lock, Waiter};
use crate::snapshot::tasks::Row;
use crate::source;
use crate::symbol::resolver::resolver;
use crate::symbol::role;
use runtime_dump::stack::Frame;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::time::Duration;

/// The most tasks that are named at each place.
const MOST_NAMED: usize = 5;

/// All locks with waiters, at one moment.
pub(crate) struct LockTable(pub(super) Goroutines);

impl LockTable {
    pub(crate) fn collect() -> Self {
        LockTable(Goroutines::collect(Selection::default()))
    }

    /// Writes the text: a paragraph for each lock, the one with the longest wait first.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if !source::is_on() {
            return writeln!(out, "# {OFF}");
        }
        for condition in &self.0.conditions {
            writeln!(out, "# {}", condition.text())?;
        }
        if locks::missed() > 0 {
            let missed = grouped(locks::missed());
            writeln!(
                out,
                "# {missed} waits are not in it: there were too many at once"
            )?;
        }
        let locks = self.0.locks.all();
        if locks.is_empty() {
            return writeln!(
                out,
                "# nothing waits for a Mutex, RwLock or OnceCell of tokio::sync, or for a lock of tokio::sync::blocking, at this moment"
            );
        }
        let rows: HashMap<u64, &Row> = self.0.tasks.rows.iter().map(|row| (row.id, row)).collect();
        for lock in locks {
            self.write_lock(out, lock, &rows)?;
        }
        Ok(())
    }

    /// Writes the deadlocks, and the stacks of the tasks in them.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_deadlocks(mut self, out: &mut dyn Write) -> io::Result<()> {
        if !source::is_on() {
            return writeln!(out, "# {OFF}");
        }
        let members =
            conditions::deadlocks(&self.0.conditions).flat_map(|deadlock| &deadlock.members);
        let mut tasks: HashSet<Who> = members.map(|member| member.who).collect();
        if tasks.is_empty() {
            // The text of the dump begins with a line for each of these.
            let possible = conditions::possibly_deadlocked(&self.0.conditions);
            tasks = possible.map(Who::Task).collect();
            let mut mutual = deadlocks::mutual(&self.0.tasks, self.0.locks.all());
            mutual.retain(|members| !members.iter().all(|who| tasks.contains(who)));
            for members in &mutual {
                let members: Vec<String> = members.iter().map(|who| self.named(*who)).collect();
                writeln!(
                    out,
                    "# no certain deadlock, but a cycle: {}: each waits for a lock of the next one, and the last for one of the \
                     first, until a time limit, another branch, or a guard that was moved to another task ends it",
                    members.join(", ")
                )?;
            }
            tasks.extend(mutual.into_iter().flatten());
        }
        if tasks.is_empty() {
            return writeln!(
                out,
                "# no deadlock: no tasks and threads wait for each other by a Mutex or RwLock of tokio::sync, by a lock of \
                 tokio::sync::blocking, or for the end of each other"
            );
        }
        let is_member = |row: &Row| tasks.contains(&Who::Task(row.id));
        self.0.tasks.rows.retain(is_member);
        self.0.all = self.0.tasks.rows.len();
        self.0.unlisted = 0;
        self.0.write_text(out, Lines::All)
    }

    /// A task with its name, or a thread.
    fn named(&self, who: Who) -> String {
        match who {
            Who::Task(id) => {
                let mut rows = self.0.tasks.rows.iter();
                let row = rows.find(|row| row.id == id);
                let name = row.and_then(|row| name(&self.0.tasks, row));
                goroutine(id, name.as_deref())
            }
            Who::Thread(tid) => self.0.thread_of(tid),
            Who::Unknown => "something that is not known".to_owned(),
        }
    }

    fn write_lock(
        &self,
        out: &mut dyn Write,
        lock: &Lock,
        rows: &HashMap<u64, &Row>,
    ) -> io::Result<()> {
        writeln!(out, "\n{}", described(lock))?;
        write!(
            out,
            "\t{}",
            self.0.locks.whose(lock, |tid| self.0.thread_of(tid))
        )?;
        let holder = match lock.holder {
            Who::Task(id) => rows.get(&id).map(|row| self.place(row)),
            _ => None,
        };
        match holder {
            Some(place) => writeln!(out, ": {place}")?,
            None => writeln!(out)?,
        }
        let first = Duration::from_nanos(lock.longest_ns());
        writeln!(
            out,
            "\t{}, the first for {first:.1?}",
            wait(lock.waiters.len())
        )?;
        if let Some(ended) = Self::ended(lock) {
            writeln!(out, "\t{ended}")?;
        }
        for (place, tasks) in self.by_place(lock, rows) {
            let mut named: Vec<String> = tasks.iter().take(MOST_NAMED).cloned().collect();
            let more = tasks.len() - named.len();
            if more > 0 {
                named.push(format!("{} more", grouped(more as u64)));
            }
            writeln!(
                out,
                "\t\t{} at {place}: {}",
                grouped(tasks.len() as u64),
                named.join(", ")
            )?;
        }
        Ok(())
    }

    /// A sentence on the waits for the lock that have ended.
    pub(super) fn ended(lock: &Lock) -> Option<String> {
        let ended = match lock.waits {
            0 => return None,
            1 => "1 wait for it has ended".to_owned(),
            several => format!("{} waits for it have ended", grouped(several)),
        };
        let together = Duration::from_nanos(lock.waited_ns);
        Some(format!(
            "{ended} since its first, after {together:.1?} in all"
        ))
    }

    /// The waiters by place, the largest group first.
    pub(super) fn by_place(
        &self,
        lock: &Lock,
        rows: &HashMap<u64, &Row>,
    ) -> Vec<(String, Vec<String>)> {
        let mut places: HashMap<String, Vec<String>> = HashMap::new();
        for waiter in &lock.waiters {
            let (place, name) = match waiter.who {
                Who::Task(id) => {
                    let row = rows.get(&id);
                    let place = row.map_or_else(
                        || "a place that is not known".to_owned(),
                        |row| self.place_of(waiter, row),
                    );
                    (place, format!("goroutine {id}"))
                }
                Who::Thread(number) => (
                    "a thread outside of any task".to_owned(),
                    self.0.thread_of(number),
                ),
                Who::Unknown => (
                    "a thread outside of any task".to_owned(),
                    "unknown".to_owned(),
                ),
            };
            places.entry(place).or_default().push(name);
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by(|(a, one), (b, other)| other.len().cmp(&one.len()).then(a.cmp(b)));
        places
    }

    /// The place where a task waits for the lock. The task may have been polled since without the waiting future.
    pub(super) fn place_of(&self, waiter: &Waiter, row: &Row) -> String {
        let is_earlier = waiter.poll != 0 && waiter.poll < row.polls;
        let waits = waiter.waits.filter(|_| is_earlier);
        match waits.and_then(|waits| own_frame(waits.last, &mut resolver())) {
            Some(frame) => format!("{}, in an earlier poll", place(&frame)),
            None => self.place(row),
        }
    }

    /// The innermost function of the application in a task's stack, with its line and the reason.
    pub(super) fn place(&self, row: &Row) -> String {
        let stack = &self.0.tables.stacks[row.stack_key as usize];
        let reason = self.0.doings[row.stack_key as usize].text();
        let shown = stack.trunk.iter().filter(|location| !location.hidden);
        let mut frames = shown.flat_map(|location| &location.frames);
        // A name without a path is a C function.
        let is_own =
            |frame: &&Frame| !role::is_library(&frame.function) && frame.function.contains("::");
        match frames.find(is_own) {
            Some(frame) => format!("{} [{reason}]", place(frame)),
            None => format!("a library's code [{reason}]"),
        }
    }
}

/// The number of deadlocks.
pub(crate) fn deadlocks(conditions: &[Condition]) -> usize {
    conditions::deadlocks(conditions).count()
}

/// The number of locks with waiters.
pub(crate) fn count() -> usize {
    locks::count()
}
