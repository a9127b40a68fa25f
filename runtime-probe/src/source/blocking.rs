//! The wrapper around a closure of the blocking pool.

use super::instrumented::Spawned;
use super::{driving, labels, timing, trace, waker};
use crate::clock;
use crate::registry::slab::RecordOwner;
use crate::registry::task::{Kind, Spawn};
use crate::registry::threads::{self, Role};
use crate::stack::raw::HasMeta;
use tokio::runtime::Handle;

/// Closes the record when the closure has run, has panicked, or is dropped unrun at a shutdown.
struct Closing(RecordOwner);

impl Drop for Closing {
    fn drop(&mut self) {
        timing::note_closure_end(&self.0);
    }
}

/// The instrumented closure, and a handle that gets the id from the spawner. The closure runs on the runtime of `on`,
/// or on this thread's.
pub(crate) fn watch<F, R>(
    spawn: Spawn,
    on: Option<&Handle>,
    closure: F,
) -> (impl FnOnce() -> R + use<F, R>, Spawned)
where
    F: FnOnce() -> R,
{
    let meta = <F as HasMeta>::META;
    let record = super::start_here()
        .then(|| {
            let (kind, spawn, meta) = (Kind::Blocking, Some(spawn), Some(meta));
            RecordOwner::new(kind, 0, spawn, meta, clock::ticks, labels::current)
        })
        .flatten();
    if let Some(record) = &record {
        trace::spawn(record, record.since());
        // The runtime is set while it is queued, too.
        record.set_runtime(on.map_or_else(driving::current, driving::of));
    }
    let spawned = Spawned(record.as_ref().map(RecordOwner::share));
    let record = record.map(Closing);
    let watched = move || match &record {
        Some(record) => {
            // The spawner may not have set the id yet, and the closure's own spawns need it as their parent.
            if record.0.id() == 0
                && let Some(id) = tokio::task::try_id()
            {
                record.0.set_id(super::foreign::number(id));
            }
            // The poll of a foreign task that called `block_in_place` is over.
            super::foreign::between_polls();
            // The thread may have been a worker before.
            threads::slot().set_role(Role::Pool);
            waker::run(&record.0, closure)
        }
        None => closure(),
    };
    (watched, spawned)
}
