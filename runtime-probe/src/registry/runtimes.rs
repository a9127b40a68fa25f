//! The runtimes that the probe has hooks in: a number that fits into a record, and the name behind it.
//!
//! A runtime is on the list for as long as a hook of ours is alive in it, whatever type it is held by. A hook that goes
//! before the others was replaced: tokio keeps one of each kind, and the last call counts. So nothing has to be asked
//! while the runtime works; that our hooks are there is known by their not being dropped.

use super::threads::ThreadNumber;
use crate::clock::{self, Ticks};
use crate::primitive::{self, AtomicU32, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// A runtime. 0 is one that is not on the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RuntimeNumber(pub(crate) u16);

/// Hooks of ours by which it is known that a runtime is there, as the names of tokio's methods; a set of them has a bit for
/// each, by index.
const HOOKS: [&str; 5] = [
    "on_thread_park",
    "on_thread_unpark",
    "on_task_spawn",
    "on_before_task_poll",
    "on_task_terminate",
];

/// In a set, the hooks on tasks: without one of them what dependencies spawn is not seen.
const ON_TASKS: u32 = 0b11100;
/// Those that tokio keeps with the scheduler. The last one goes with each closure of the blocking pool, too, and with the
/// handle to it: if it is all that is left, the runtime is gone.
const WITH_THE_SCHEDULER: u32 = 0b01111;

/// Those that are missed: without foreign tasks nothing is lost with the hook on parking.
const MISSED: u32 = if cfg!(tokio_unstable) {
    0b11111
} else {
    0b11110
};

/// Hooks of ours that were replaced in a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) on_tasks: Vec<&'static str>,
    pub(crate) on_threads: Vec<&'static str>,
}

/// A runtime of one thread that no thread runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) since: Ticks,
    /// The thread that ran it last.
    pub(crate) last: ThreadNumber,
}

/// What is known of a runtime.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) number: RuntimeNumber,
    pub(crate) name: Arc<str>,
    /// The most threads of its blocking pool, where it is known.
    pub(crate) blocking_threads: Option<usize>,
    /// Whether it was built with timers or I/O, where that is known.
    pub(crate) drives: Option<bool>,
    /// tokio's own number of it; 0 until it is known.
    id: AtomicU64,
    /// What tokio's handle of it consists of, known with the number: one word points to its scheduler.
    handle: [AtomicU64; 2],
    /// Of a runtime of one thread: how many threads run it, and of the last one that ended since when, and which.
    running: AtomicU32,
    idle_since: AtomicU64,
    last: AtomicU32,
    /// The hooks that were set, as bits.
    set: AtomicU32,
    /// Those of them that are no longer there.
    gone: AtomicU32,
}

struct Table {
    alive: BTreeMap<u16, Weak<Runtime>>,
    /// Those whose id is known, by it.
    by_id: BTreeMap<u64, RuntimeNumber>,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    alive: BTreeMap::new(),
    by_id: BTreeMap::new(),
});

fn lock() -> MutexGuard<'static, Table> {
    primitive::lock(&TABLE)
}

impl Runtime {
    /// Puts a runtime that is about to be built on the list; `None` if there are 65,535 already. Without a name it gets
    /// one by its number.
    pub(crate) fn enlist(
        name: Option<Arc<str>>,
        blocking_threads: Option<usize>,
        drives: Option<bool>,
    ) -> Option<Arc<Runtime>> {
        let mut table = lock();
        let number = (1..=u16::MAX).find(|number| !table.alive.contains_key(number))?;
        let runtime = Arc::new(Runtime {
            number: RuntimeNumber(number),
            name: name.unwrap_or_else(|| format!("runtime-{number}").into()),
            blocking_threads,
            drives,
            id: AtomicU64::new(0),
            handle: [AtomicU64::new(0), AtomicU64::new(0)],
            running: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            last: AtomicU32::new(0),
            set: AtomicU32::new(0),
            gone: AtomicU32::new(0),
        });
        table.alive.insert(number, Arc::downgrade(&runtime));
        Some(runtime)
    }

    /// tokio's number of it and the words of its handle, as soon as they are known.
    pub(crate) fn set_id(&self, id: u64, handle: [u64; 2]) {
        for (word, to) in handle.into_iter().zip(&self.handle) {
            to.store(word, Ordering::Relaxed);
        }
        let mut table = lock();
        self.id.store(id, Ordering::Relaxed);
        table.by_id.insert(id, self.number);
    }

    /// What was given to [`Runtime::set_id`].
    #[cfg(feature = "decode")]
    pub(crate) fn handle(&self) -> [u64; 2] {
        [0, 1].map(|at| self.handle[at].load(Ordering::Relaxed))
    }

    /// Whether [`Runtime::set_id`] was called.
    #[inline(always)]
    pub(crate) fn has_id(&self) -> bool {
        self.id.load(Ordering::Relaxed) != 0
    }

    /// A thread runs its tasks: the runtime has no other.
    pub(crate) fn run(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// It does not any more.
    pub(crate) fn leave(&self, thread: ThreadNumber) {
        self.last.store(thread.0, Ordering::Relaxed);
        self.idle_since.store(clock::ticks(), Ordering::Relaxed);
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Since when no thread runs it; `None` where one does, or one never did, and for a runtime with workers.
    pub(crate) fn idle(&self) -> Option<Idle> {
        let since = self.idle_since.load(Ordering::Relaxed);
        let is_idle = since != 0 && self.running.load(Ordering::Relaxed) == 0;
        is_idle.then(|| Idle {
            since,
            last: ThreadNumber(self.last.load(Ordering::Relaxed)),
        })
    }

    fn is_alive(&self) -> bool {
        let set = self.set.load(Ordering::Relaxed);
        set & !self.gone.load(Ordering::Relaxed) & WITH_THE_SCHEDULER != 0
    }

    /// The hooks that were replaced.
    pub(crate) fn replaced(&self) -> Replaced {
        let gone = self.gone.load(Ordering::Relaxed);
        let named = |set: u32| {
            let bits = HOOKS.into_iter().enumerate();
            bits.filter_map(|(bit, hook)| (set >> bit & 1 == 1).then_some(hook))
                .collect()
        };
        Replaced {
            on_tasks: named(gone & ON_TASKS),
            on_threads: named(gone & !ON_TASKS & MISSED),
        }
    }

    /// Whether all hooks on tasks are there.
    pub(crate) fn sees_tasks(&self) -> bool {
        self.gone.load(Ordering::Relaxed) & ON_TASKS == 0
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let mut table = lock();
        table.alive.remove(&self.number.0);
        table.by_id.remove(&self.id.load(Ordering::Relaxed));
    }
}

/// What a hook of ours holds: while it lives the hook is there.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) runtime: Arc<Runtime>,
    bit: u32,
}

impl Installed {
    /// For one of [`HOOKS`].
    pub(crate) fn new(runtime: &Arc<Runtime>, hook: &'static str) -> Self {
        let position = HOOKS.iter().position(|known| *known == hook);
        debug_assert!(position.is_some(), "{hook}");
        let bit = position.map_or(0, |position| 1 << position);
        runtime.set.fetch_or(bit, Ordering::Relaxed);
        Installed {
            runtime: runtime.clone(),
            bit,
        }
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.runtime.gone.fetch_or(self.bit, Ordering::Relaxed);
    }
}

/// The runtimes on the list, in the order of their numbers.
pub(crate) fn alive() -> Vec<Arc<Runtime>> {
    // Some are let go again, outside of the lock, which the last reference takes.
    let mut listed: Vec<_> = lock().alive.values().filter_map(Weak::upgrade).collect();
    listed.retain(|runtime| runtime.is_alive());
    listed
}

/// One on the list.
pub(crate) fn listed(number: RuntimeNumber) -> Option<Arc<Runtime>> {
    // The last reference takes the lock, so it goes outside of that.
    lock().alive.get(&number.0).and_then(Weak::upgrade)
}

/// The name of one on the list.
pub(crate) fn name(number: RuntimeNumber) -> Option<Arc<str>> {
    Some(listed(number)?.name.clone())
}

/// The runtime of that id.
pub(crate) fn by_id(id: u64) -> RuntimeNumber {
    lock().by_id.get(&id).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_listed_while_one_hook_is_left_and_says_which_went() {
        let runtime = Runtime::enlist(Some("listed".into()), None, None).unwrap();
        runtime.set_id(u64::MAX, [0; 2]);
        let number = runtime.number;
        let hooks = HOOKS.map(|hook| Installed::new(&runtime, hook));
        drop(runtime);
        let listed = || alive().into_iter().find(|other| other.number == number);
        assert_eq!(listed().unwrap().replaced(), Replaced::default());
        let [park, unpark, spawn, poll, terminate] = hooks;
        drop((unpark, spawn, park));
        let replaced = listed().unwrap().replaced();
        let (park, unpark) = ("on_thread_park", "on_thread_unpark");
        let missed: &[&str] = if cfg!(tokio_unstable) {
            &[park, unpark]
        } else {
            &[unpark]
        };
        assert_eq!(replaced.on_threads, missed);
        assert_eq!(replaced.on_tasks, ["on_task_spawn"]);
        assert_eq!(by_id(u64::MAX), number);
        drop(poll);
        assert!(listed().is_none(), "a closure of the pool has the rest");
        drop(terminate);
        assert_eq!(by_id(u64::MAX), RuntimeNumber(0));
    }

    #[test]
    fn the_number_of_a_runtime_that_is_gone_is_free_again() {
        let kept = Runtime::enlist(None, None, None).unwrap();
        let _hook = Installed::new(&kept, "on_thread_unpark");
        let gone = Runtime::enlist(None, None, None).unwrap();
        assert_ne!(kept.number, gone.number);
        assert_eq!(*kept.name, format!("runtime-{}", kept.number.0));
        drop(gone);
        assert!(alive().iter().any(|runtime| runtime.number == kept.number));
    }
}
