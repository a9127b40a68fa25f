//! Runtimes that are being dropped: that waits for closures of the blocking pool and for polls. Such a runtime may be
//! missing in [`super::runtimes`] already, because its hooks are dropped first.

use super::runtimes::{self, RuntimeNumber};
use super::threads::{self, Thread, ThreadNumber};
use crate::clock::{self, Ticks};
use crate::primitive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The drop of a runtime, which a thread waits for.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    key: u64,
    pub(crate) runtime: RuntimeNumber,
    pub(crate) name: Arc<str>,
    pub(crate) thread: ThreadNumber,
    pub(crate) since: Ticks,
}

static LIST: Mutex<Vec<Ending>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<Ending>> {
    primitive::lock(&LIST)
}

/// Dropped before a runtime: the end of the runtime begins, on this thread.
#[derive(Debug)]
pub(crate) struct Begins {
    key: u64,
    runtime: RuntimeNumber,
    name: Arc<str>,
}

/// Dropped after the runtime: it has ended.
#[derive(Debug)]
pub(crate) struct Ends {
    key: u64,
}

/// The fields to declare before and after a runtime: fields are dropped in the order of their declaration.
pub(crate) fn around(runtime: RuntimeNumber) -> (Begins, Ends) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let key = LAST.fetch_add(1, Ordering::Relaxed);
    let name = runtimes::name(runtime).unwrap_or_else(|| "without hooks of ours".into());
    let begins = Begins { key, runtime, name };
    (begins, Ends { key })
}

impl Drop for Begins {
    fn drop(&mut self) {
        let ending = Ending {
            key: self.key,
            runtime: self.runtime,
            name: self.name.clone(),
            thread: threads::current(),
            since: clock::ticks(),
        };
        lock().push(ending);
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // The entry is dropped outside of the lock: it may hold the last reference to the name.
        let _ended = {
            let mut list = lock();
            let at = list.iter().position(|ending| ending.key == self.key);
            at.map(|at| list.swap_remove(at))
        };
    }
}

/// A copy of the list.
pub(crate) fn under_way() -> Vec<Ending> {
    // The copy allocates under the lock. An allocator may wake tasks, which takes other locks, but not this one.
    lock().clone()
}

impl Ending {
    /// The waiting thread, if it is still alive.
    pub(crate) fn waits_on(&self) -> Option<Thread> {
        threads::alive()
            .remove(&self.thread.0)
            .map(|(thread, _)| thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_under_way_between_the_two() {
        struct Runtime {
            _begins: Begins,
            _inner: Looks,
            _ends: Ends,
        }
        struct Looks(u64);
        impl Looks {
            fn is_under_way(&self) -> bool {
                under_way().iter().any(|ending| ending.key == self.0)
            }
        }
        impl Drop for Looks {
            fn drop(&mut self) {
                assert!(self.is_under_way());
            }
        }
        let (begins, ends) = around(RuntimeNumber(0));
        let looks = Looks(begins.key);
        let key = looks.0;
        assert!(!looks.is_under_way());
        drop(Runtime {
            _begins: begins,
            _inner: looks,
            _ends: ends,
        });
        assert!(under_way().iter().all(|ending| ending.key != key));
    }
}
