//! The `LocalSet`s: whether each is being polled, when it was polled last, and by which task or thread. If no thread
//! polls a set, its tasks stay ready for ever.

use super::task::Waking;
use super::threads;
use crate::clock::{self, Ticks};
use crate::primitive::{self, AtomicU64, Ordering};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// A set. Its number is unique; 0 is none.
#[derive(Debug)]
pub(crate) struct LocalSet {
    number: u32,
    made: Ticks,
    /// When the poll under way began; 0 if there is none.
    began: AtomicU64,
    /// When the last poll ended; 0 if there was none.
    ended: AtomicU64,
    /// The task or thread that polled it last, packed.
    by: AtomicU64,
}

static TABLE: Mutex<Option<HashMap<u32, Weak<LocalSet>>>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<HashMap<u32, Weak<LocalSet>>>> {
    primitive::lock(&TABLE)
}

thread_local! {
    /// The set that this thread polls or spawns on; 0 for none.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// The number of the set that a task is spawned on.
pub(crate) fn current() -> u32 {
    CURRENT.with(Cell::get)
}

impl LocalSet {
    /// Makes a set and enters it into the table.
    pub(crate) fn enlist() -> Arc<LocalSet> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let last = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let set = Arc::new(LocalSet {
            number: last.wrapping_add(1).max(1),
            made: clock::ticks(),
            began: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            by: AtomicU64::new(0),
        });
        let entry = Arc::downgrade(&set);
        lock().get_or_insert_default().insert(set.number, entry);
        set
    }

    /// While the returned value lives, local spawns of this thread are on the set.
    pub(crate) fn spawns(&self) -> Current {
        Current(CURRENT.with(|current| current.replace(self.number)))
    }

    /// The same for a poll of the set, by a task, or by this thread if `task` is 0.
    pub(crate) fn is_polled(&self, task: u64) -> Polling<'_> {
        let slot = threads::slot();
        let by = match task {
            0 => Waking::Thread(slot.number()),
            id => Waking::Task(id),
        };
        self.by.store(by.pack(), Ordering::Relaxed);
        // The last stamp of the thread is the begin of the outer poll.
        let now = slot.now.load(Ordering::Relaxed);
        self.began.store(now, Ordering::Relaxed);
        Polling {
            set: self,
            _current: self.spawns(),
        }
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        if let Some(table) = &mut *lock() {
            table.remove(&self.number);
        }
    }
}

/// Restores the set that was current before.
#[must_use]
pub(crate) struct Current(u32);

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}

/// A poll of a set.
#[must_use]
pub(crate) struct Polling<'a> {
    set: &'a LocalSet,
    _current: Current,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let now = threads::slot().now.load(Ordering::Relaxed);
        self.set.ended.store(now, Ordering::Relaxed);
        self.set.began.store(0, Ordering::Relaxed);
    }
}

/// The polls of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// The set was never polled.
    Never { since: Ticks },
    /// The set is being polled.
    Now { since: Ticks },
    /// The set was polled last by this task or thread.
    Last { since: Ticks, by: Waking },
}

/// The polls of all sets, by number.
pub(crate) fn all() -> HashMap<u32, Polled> {
    // The references are dropped outside of the lock: dropping the last one takes it.
    let sets: Vec<Arc<LocalSet>> = match &*lock() {
        Some(table) => table.values().filter_map(Weak::upgrade).collect(),
        None => return HashMap::new(),
    };
    let polled = |set: &LocalSet| {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        match (load(&set.began), load(&set.ended)) {
            (0, 0) => Polled::Never { since: set.made },
            (0, since) => Polled::Last {
                since,
                by: Waking::unpack(load(&set.by)),
            },
            (since, _) => Polled::Now { since },
        }
    };
    sets.iter().map(|set| (set.number, polled(set))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_says_whether_it_is_polled_and_in_what_it_was_last() {
        clock::init();
        let set = LocalSet::enlist();
        let number = set.number;
        let polled = || all().get(&number).copied();
        assert!(matches!(polled(), Some(Polled::Never { .. })));
        {
            let _polling = set.is_polled(7);
            assert_eq!(current(), number);
            assert!(matches!(polled(), Some(Polled::Now { .. })));
        }
        assert_eq!(current(), 0);
        let Some(Polled::Last { by, .. }) = polled() else {
            panic!("{:?}", polled());
        };
        assert_eq!(by, Waking::Task(7));
        drop(set.is_polled(0));
        let Some(Polled::Last { by, .. }) = polled() else {
            panic!("{:?}", polled());
        };
        assert_eq!(by, Waking::Thread(threads::current()));
        drop(set);
        assert_eq!(polled(), None);
    }
}
