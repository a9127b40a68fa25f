//! The runtimes with hooks of the probe: each has a number, which fits into a record, and a name.
//!
//! A runtime is listed for as long as one of our hooks in it is alive. A hook that is dropped before the others was
//! replaced: tokio keeps one hook of each kind, the one of the last call. So the drops of our hooks show everything,
//! and a running runtime need not be asked.

use super::threads::ThreadNumber;
use crate::clock::{self, Ticks};
use crate::primitive::{self, AtomicU32, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// The number of a runtime. 0 is a runtime that is not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RuntimeNumber(pub(crate) u16);

/// Our hooks that show that a runtime is alive, by the names of tokio's methods. A set of hooks has a bit for each, by
/// index.
const HOOKS: [&str; 5] = [
    "on_thread_park",
    "on_thread_unpark",
    "on_task_spawn",
    "on_before_task_poll",
    "on_task_terminate",
];

/// The bits of the hooks on tasks. If one of them is missing, tasks that dependencies spawn are not seen.
const ON_TASKS: u32 = 0b11100;
/// The bits of the hooks that tokio keeps in the scheduler. The last hook is also kept by each closure of the blocking
/// pool, and by the pool's handle, so it may outlive the runtime.
const WITH_THE_SCHEDULER: u32 = 0b01111;

/// The bits of the hooks whose loss matters. Without foreign tasks, the hook on parking is not needed.
const MISSED: u32 = if cfg!(tokio_unstable) {
    0b11111
} else {
    0b11110
};

/// Our hooks that were replaced in a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) on_tasks: Vec<&'static str>,
    pub(crate) on_threads: Vec<&'static str>,
}

/// A `current_thread` runtime that no thread runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) since: Ticks,
    /// The thread that ran it last.
    pub(crate) last: ThreadNumber,
}

/// A runtime.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) number: RuntimeNumber,
    pub(crate) name: Arc<str>,
    /// The most threads of its blocking pool, if known.
    pub(crate) blocking_threads: Option<usize>,
    /// Whether it was built with timers or I/O, if known.
    pub(crate) drives: Option<bool>,
    /// tokio's id of the runtime; 0 until it is known.
    id: AtomicU64,
    /// The words of tokio's handle, set with the id. One of them points to the scheduler.
    handle: [AtomicU64; 2],
    /// Of a `current_thread` runtime: how many threads run it.
    running: AtomicU32,
    /// When the last one stopped running it.
    idle_since: AtomicU64,
    /// The number of that thread.
    last: AtomicU32,
    /// The bits of the hooks that were set.
    set: AtomicU32,
    /// The bits of the hooks that were dropped.
    gone: AtomicU32,
}

struct Table {
    alive: BTreeMap<u16, Weak<Runtime>>,
    /// By tokio's id, if it is known.
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
    /// Lists a runtime that is about to be built; `None` if there are 65,535 already. Without a name, its name is made
    /// of its number.
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

    /// Sets tokio's id and the words of its handle, when the runtime is built.
    pub(crate) fn set_id(&self, id: u64, handle: [u64; 2]) {
        for (word, to) in handle.into_iter().zip(&self.handle) {
            to.store(word, Ordering::Relaxed);
        }
        let mut table = lock();
        self.id.store(id, Ordering::Relaxed);
        table.by_id.insert(id, self.number);
    }

    /// The words that [`Runtime::set_id`] has set.
    #[cfg(feature = "decode")]
    pub(crate) fn handle(&self) -> [u64; 2] {
        [0, 1].map(|at| self.handle[at].load(Ordering::Relaxed))
    }

    /// Whether [`Runtime::set_id`] was called.
    #[inline(always)]
    pub(crate) fn has_id(&self) -> bool {
        self.id.load(Ordering::Relaxed) != 0
    }

    /// A thread begins to run this `current_thread` runtime.
    pub(crate) fn run(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread has stopped running it.
    pub(crate) fn leave(&self, thread: ThreadNumber) {
        self.last.store(thread.0, Ordering::Relaxed);
        self.idle_since.store(clock::ticks(), Ordering::Relaxed);
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Since when no thread runs it. `None` if a thread does, if none ever did, and for a runtime with workers.
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

    /// The replaced hooks.
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

    /// Whether all hooks on tasks are in place.
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

/// Held by one of our hooks: the hook is in place while this lives.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) runtime: Arc<Runtime>,
    bit: u32,
}

impl Installed {
    /// Marks one of [`HOOKS`] as set.
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

/// The listed runtimes, ordered by number.
pub(crate) fn alive() -> Vec<Arc<Runtime>> {
    // References are dropped outside of the lock: dropping the last one takes it.
    let mut listed: Vec<_> = lock().alive.values().filter_map(Weak::upgrade).collect();
    listed.retain(|runtime| runtime.is_alive());
    listed
}

/// A listed runtime.
pub(crate) fn listed(number: RuntimeNumber) -> Option<Arc<Runtime>> {
    // The reference is dropped outside of the lock: dropping the last one takes it.
    lock().alive.get(&number.0).and_then(Weak::upgrade)
}

/// The name of a listed runtime.
pub(crate) fn name(number: RuntimeNumber) -> Option<Arc<str>> {
    Some(listed(number)?.name.clone())
}

/// The runtime with that tokio id.
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
