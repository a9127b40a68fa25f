//! Roots of `block_on`, and what each blocks: the task or closure that has called it, or else the thread.
//!
//! The caller goes on when its root has ended, and not before. A root is only ever inside of its `block_on`.

use super::tasks::known;
use crate::registry::locks::Who;
use crate::registry::slab;
use crate::registry::task::Kind;
use crate::registry::threads;

/// A `block_on` under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    pub(crate) caller: Who,
    /// The root's own id.
    pub(crate) id: u64,
}

/// The roots that have been polled.
pub(crate) fn take() -> Vec<Root> {
    let (mut roots, mut threads) = (Vec::new(), None);
    slab::for_each(|record| {
        if record.kind() != Kind::BlockOn {
            return;
        }
        let Some(view) = known(record).filter(|view| view.polls > 0) else {
            return;
        };
        let caller = match view.parent {
            0 => {
                let threads = threads.get_or_insert_with(threads::alive);
                let thread = threads.get(&view.worker.0);
                thread.map_or(Who::Unknown, |(thread, _)| Who::Thread(thread.tid))
            }
            task => Who::Task(task),
        };
        roots.push(Root {
            caller,
            id: view.id,
        });
    });
    roots
}
