//! Profiles of the program's own: for each value that it has added and not removed, the stack that added it.

use crate::primitive::{Ordering, lock};
use crate::stack::raw::WaitSet;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard};

/// At most this many profiles: a name is for what the program is made of, not for what it serves.
pub(crate) const MOST_PROFILES: usize = 64;

/// At most this many values in one profile at a time: 24 B each and as much as free room, so some 48 MB.
const MOST_VALUES: usize = 1 << 20;

/// A profile. Made once, and there for the life of the process.
#[derive(Debug)]
pub(crate) struct CustomProfile {
    name: Box<str>,
    /// `None` for a stack that found the tables full.
    values: Mutex<HashMap<u64, Option<&'static WaitSet>>>,
    /// Values that found this full.
    dropped: AtomicU64,
}

static ALL: Mutex<Vec<&'static CustomProfile>> = Mutex::new(Vec::new());

fn all_locked() -> MutexGuard<'static, Vec<&'static CustomProfile>> {
    lock(&ALL)
}

/// All of them, in the order of their names.
pub(crate) fn all() -> Vec<&'static CustomProfile> {
    all_locked().clone()
}

/// Enters a profile of that name.
///
/// # Errors
/// There is one already, or there are [`MOST_PROFILES`].
pub(crate) fn enter(name: &str) -> Result<&'static CustomProfile, Refused> {
    let mut all = all_locked();
    match all.binary_search_by_key(&name, |profile| profile.name()) {
        Ok(_) => Err(Refused::Taken),
        Err(_) if all.len() == MOST_PROFILES => Err(Refused::TooMany),
        Err(at) => {
            let profile: &'static CustomProfile = Box::leak(Box::new(CustomProfile {
                name: name.into(),
                values: Mutex::default(),
                dropped: AtomicU64::new(0),
            }));
            all.insert(at, profile);
            Ok(profile)
        }
    }
}

/// Why there is no profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Taken,
    TooMany,
}

impl CustomProfile {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn values(&self) -> MutexGuard<'_, HashMap<u64, Option<&'static WaitSet>>> {
        lock(&self.values)
    }

    /// Whether the value was not there, and is now.
    pub(crate) fn add(&self, value: u64, stack: Option<&'static WaitSet>) -> bool {
        let mut values = self.values();
        let is_full = values.len() >= MOST_VALUES;
        match values.entry(value) {
            Entry::Occupied(_) => false,
            Entry::Vacant(_) if is_full => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
            Entry::Vacant(free) => {
                free.insert(stack);
                true
            }
        }
    }

    /// Whether the value was there.
    pub(crate) fn remove(&self, value: u64) -> bool {
        self.values().remove(&value).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.values().len()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many values each stack has added.
    pub(crate) fn stacks(&self) -> Vec<(Option<&'static WaitSet>, u64)> {
        let mut counts: HashMap<usize, (Option<&'static WaitSet>, u64)> = HashMap::new();
        for stack in self.values().values() {
            let address = stack.map_or(0, |stack| std::ptr::from_ref(stack).addr());
            counts.entry(address).or_insert((*stack, 0)).1 += 1;
        }
        counts.into_values().collect()
    }
}
