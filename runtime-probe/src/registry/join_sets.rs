//! How many tasks each `JoinSet` of ours has: those that run, and those whose result nothing has taken yet. Which are which
//! follows from the records: a task that has ended has none.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// By address. Locked for a moment when a set has its first task, when it is dropped, and by readers.
static SETS: Mutex<Option<HashMap<usize, Arc<Counted>>>> = Mutex::new(None);

/// A set.
#[derive(Debug)]
struct Counted {
    /// Where its first task was spawned.
    location: &'static Location<'static>,
    /// Others were spawned elsewhere: whose results are left is not known.
    is_mixed: AtomicBool,
    len: AtomicUsize,
}

/// What a set keeps of itself: nothing before its first task.
#[derive(Debug, Default)]
pub(crate) struct Members(Option<Arc<Counted>>);

impl Members {
    /// A task was spawned there, and the set has `len` now.
    pub(crate) fn spawned(&mut self, location: &'static Location<'static>, len: usize) {
        let set = self.0.get_or_insert_with(|| enter(location));
        // The same place may have several addresses.
        if !std::ptr::eq(set.location, location) && set.location != location {
            set.is_mixed.store(true, Ordering::Relaxed);
        }
        set.len.store(len, Ordering::Relaxed);
    }

    /// The set has `len` tasks now; 0 also where that is not known.
    pub(crate) fn are(&self, len: usize) {
        if let Some(set) = &self.0 {
            set.len.store(len, Ordering::Relaxed);
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        if let Some(set) = self.0.take() {
            let mut sets = SETS.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sets) = &mut *sets {
                sets.remove(&Arc::as_ptr(&set).addr());
            }
        }
    }
}

fn enter(location: &'static Location<'static>) -> Arc<Counted> {
    let set = Arc::new(Counted {
        location,
        is_mixed: AtomicBool::new(false),
        len: AtomicUsize::new(0),
    });
    let mut sets = SETS.lock().unwrap_or_else(PoisonError::into_inner);
    let sets = sets.get_or_insert_default();
    sets.insert(Arc::as_ptr(&set).addr(), set.clone());
    set
}

/// How many tasks sets have by where these were spawned, in sets that have tasks of one place only.
pub(crate) fn lens() -> HashMap<Location<'static>, u64> {
    let mut lens = HashMap::new();
    let sets = SETS.lock().unwrap_or_else(PoisonError::into_inner);
    for set in sets.iter().flat_map(HashMap::values) {
        if !set.is_mixed.load(Ordering::Relaxed) {
            *lens.entry(*set.location).or_default() += set.len.load(Ordering::Relaxed) as u64;
        }
    }
    lens
}
