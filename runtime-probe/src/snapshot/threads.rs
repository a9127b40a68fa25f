//! A copy of all threads of the process, and the counts of the runtimes.

use crate::ask::asking::Asking;
use crate::ask::thread_stack::Capture;
use crate::ask::why::CaptureError;
use crate::clock;
use crate::primitive::Ordering;
use crate::registry::names::{self, NameNumber};
use crate::registry::runtimes::{self, Runtime, RuntimeNumber};
use crate::registry::threads::{self, Role};
use crate::source::creation::{self, Creation, Unseen};
#[cfg(feature = "rt")]
use crate::source::metrics::{self, RuntimeNumbers};
use crate::sys::thread_status::{self, ThreadStatus};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The time limit for the stacks of all threads.
const ALL: Duration = Duration::from_secs(2);

/// One thread.
#[derive(Debug)]
pub(crate) struct ThreadRow {
    pub(crate) id: u32,
    /// std's name, or else the kernel's, which has at most 15 bytes.
    pub(crate) name: Arc<str>,
    pub(crate) status: ThreadStatus,
    pub(crate) cpu_ns: Option<u64>,
    pub(crate) stack: Result<Capture, CaptureError>,
    /// The runtime that it works for.
    pub(crate) runtime: RuntimeNumber,
    pub(crate) role: Role,
}

/// All threads.
pub(crate) struct Threads {
    /// By id.
    pub(crate) rows: Vec<ThreadRow>,
    /// Why the threads cannot be listed.
    pub(crate) unlisted: Option<io::Error>,
    /// The creations of threads that were seen.
    pub(crate) creations: HashMap<u32, Creation>,
    /// Why other creations were not seen.
    pub(crate) unseen: Unseen,
    /// The names of live tasks that created threads.
    pub(crate) names: HashMap<NameNumber, Arc<str>>,
    pub(crate) runtimes: Vec<Arc<Runtime>>,
    #[cfg(feature = "rt")]
    pub(crate) numbers: Vec<RuntimeNumbers>,
    /// Wall-clock time, nanoseconds since 1970.
    pub(crate) time_ns: i64,
}

/// The number of threads.
pub(crate) fn count() -> usize {
    thread_status::ids().len()
}

impl Threads {
    /// Asks each thread.
    pub(crate) fn take() -> Threads {
        // The threads that the probe knows, by the kernel's id.
        let known: HashMap<u32, _> = threads::alive()
            .into_values()
            .map(|(thread, slot)| (thread.tid, (thread.name, slot)))
            .collect();
        let mut asking = Asking::within(ALL);
        let mut rows = Vec::new();
        let (ids, unlisted) = match thread_status::listed() {
            Ok(ids) => (ids, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        for id in ids {
            let (Some(status), cpu_ns) = (ThreadStatus::of(id), thread_status::cpu_ns(id)) else {
                continue;
            };
            let stack = asking.capture(id);
            if stack
                .as_ref()
                .is_err_and(|error| *error == CaptureError::Gone)
            {
                continue;
            }
            let known = known.get(&id);
            let name = known
                .map(|(name, _)| name.clone())
                .filter(|name| !name.is_empty());
            rows.push(ThreadRow {
                id,
                name: name.unwrap_or_else(|| status.name.as_str().into()),
                status,
                cpu_ns,
                stack,
                role: known.map_or(Role::Other, |(_, slot)| slot.role()),
                runtime: known.map_or(RuntimeNumber(0), |(_, slot)| {
                    RuntimeNumber(slot.runtime.load(Ordering::Relaxed) as u16)
                }),
            });
        }
        // Read after the threads, so that each listed thread's creation is found.
        let mut creations = HashMap::new();
        creation::for_each_alive(|tid, creation| drop(creations.insert(tid, creation)));
        let tasks = creations.values().map(|one| one.polled);
        let named: Vec<NameNumber> = tasks
            .map(|task| task.name)
            .filter(|name| *name != NameNumber::default())
            .collect();
        Threads {
            rows,
            unlisted,
            names: names::texts(&named),
            creations,
            unseen: creation::unseen(),
            runtimes: runtimes::alive(),
            #[cfg(feature = "rt")]
            numbers: metrics::all(),
            time_ns: clock::wall_ns(),
        }
    }
}
