//! Profiles of the program's own: the stack that added each value that was not removed.

use crate::primitive::{Ordering, lock};
use crate::stack::wait_set::WaitSet;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard};

/// The most profiles. A profile is for a kind of resource, not for each client or request.
pub(crate) const MOST_PROFILES: usize = 64;

/// The most values in one profile: 24 B each, and the same again as free room of the map, so some 48 MB.
const MOST_VALUES: usize = 1 << 20;

/// A profile. It lives until the process ends.
#[derive(Debug)]
pub(crate) struct CustomProfile {
    name: Box<str>,
    /// The stack of each value; `None` if the tables of stacks were full.
    values: Mutex<HashMap<u64, Option<&'static WaitSet>>>,
    /// The number of values that were not added because the profile was full.
    dropped: AtomicU64,
}

static ALL: Mutex<Vec<&'static CustomProfile>> = Mutex::new(Vec::new());

fn all_locked() -> MutexGuard<'static, Vec<&'static CustomProfile>> {
    lock(&ALL)
}

/// All profiles, ordered by name.
pub(crate) fn all() -> Vec<&'static CustomProfile> {
    all_locked().clone()
}

/// Makes a profile of that name.
///
/// # Errors
/// There is one of that name, or there are [`MOST_PROFILES`].
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

    /// Adds a value. Returns whether it is new and was added.
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

    /// Removes a value. Returns whether it was in the profile.
    pub(crate) fn remove(&self, value: u64) -> bool {
        self.values().remove(&value).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.values().len()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The number of values by stack.
    pub(crate) fn stacks(&self) -> Vec<(Option<&'static WaitSet>, u64)> {
        let mut counts: HashMap<usize, (Option<&'static WaitSet>, u64)> = HashMap::new();
        for stack in self.values().values() {
            let address = stack.map_or(0, |stack| std::ptr::from_ref(stack).addr());
            counts.entry(address).or_insert((*stack, 0)).1 += 1;
        }
        counts.into_values().collect()
    }
}
