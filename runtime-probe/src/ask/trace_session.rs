//! What happens while an execution trace is taken: the entries of all threads, in the order of their times.
//!
//! A reader takes what the threads have left, several times a second. What has just happened waits for the next time: a thread
//! may have read its clock and not have written yet.

use crate::clock::{self, Scale, Ticks};
use crate::demand::{Demand, Lease};
use crate::events::chunks::{ChunkNumber, Chunks, Mark};
use crate::primitive::Ordering;
use crate::registry::slab;
use crate::registry::task::View;
use crate::registry::threads::{self, Role, Thread};
use crate::source::trace::{self, Happened, What};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long a thread may take between its clock and its entry. One that is preempted there for longer has its entry
/// in the next part, with the time at which that begins.
pub(crate) const LATE: Duration = Duration::from_millis(2);

static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// A trace under way; there is one at a time. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Recording {
    _lease: Lease,
    chunks: Shared,
    marks: HashMap<ChunkNumber, Mark>,
    /// The first moment of which everything is known.
    pub(crate) began: Ticks,
    /// Not yet handed on.
    pending: Vec<Happened>,
    lost: u64,
}

struct Shared(&'static Chunks);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chunks")
    }
}

/// A trace is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUse;

impl Recording {
    /// Begins.
    ///
    /// # Errors
    /// There is one already.
    pub(crate) fn start() -> Result<Recording, InUse> {
        if UNDER_WAY.swap(true, Ordering::Relaxed) {
            return Err(InUse);
        }
        clock::init();
        let chunks = trace::prepare();
        let lease = Lease::of_all(Demand::Trace);
        crate::source::look_closer();
        let mut recording = Recording {
            _lease: lease,
            chunks: Shared(chunks),
            marks: HashMap::new(),
            began: clock::ticks(),
            pending: Vec::new(),
            lost: trace::lost(),
        };
        // What an earlier trace has left.
        recording.collect();
        recording
            .pending
            .retain(|happened| happened.at >= recording.began);
        Ok(recording)
    }

    /// Takes what the threads have left so far. Returns how much waits to be handed on.
    pub(crate) fn collect(&mut self) -> usize {
        let Shared(chunks) = self.chunks;
        let (marks, pending) = (&mut self.marks, &mut self.pending);
        let mut read = |number, mark: &mut Mark| {
            chunks.read(number, mark, trace::more, |thread, entry| {
                let Some(happened) = Happened::read(thread, &entry) else {
                    return;
                };
                // Its begin has a place of its own in the order.
                if let What::ForeignPoll { record, began } = happened.what {
                    pending.push(Happened {
                        at: began,
                        what: What::PollBegin {
                            record,
                            id: None,
                            inside: false,
                        },
                        ..happened
                    });
                }
                pending.push(happened);
            });
        };
        while let Some(number) = chunks.next_full() {
            let mut mark = marks.remove(&number).unwrap_or_default();
            read(number, &mut mark);
            chunks.empty(number);
        }
        for (_, slot) in threads::alive().values() {
            // Acquire: pairs with the Release in `Chunks::write`.
            let number = ChunkNumber(slot.trace_chunk.load(Ordering::Acquire));
            read(number, marks.entry(number).or_default());
        }
        chunks.stock();
        self.pending.len()
    }

    /// What happened up to a moment that lies shortly before this one, in its order; and that moment.
    pub(crate) fn take(&mut self, scale: &Scale) -> (Vec<Happened>, Ticks) {
        self.collect();
        let until = clock::ticks().saturating_sub(scale.ticks(LATE.as_nanos() as u64));
        // Stable: what one thread did at one time keeps its order.
        self.pending.sort_by_key(|happened| happened.at);
        let later = self
            .pending
            .partition_point(|happened| happened.at <= until);
        let later = self.pending.split_off(later);
        (std::mem::replace(&mut self.pending, later), until)
    }

    /// How many entries found no room since the last time that this was asked.
    pub(crate) fn lost(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.lost, trace::lost());
        self.lost.saturating_sub(before)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        crate::source::look_no_closer();
        UNDER_WAY.store(false, Ordering::Relaxed);
    }
}

/// All tasks, one after another.
pub(crate) fn views() -> Vec<View> {
    let mut views = Vec::new();
    slab::for_each(|record| views.extend(record.view().filter(|view| view.id != 0)));
    views
}

/// The threads by number, as far as the probe knows them.
pub(crate) fn threads() -> HashMap<u32, Thread> {
    let threads = threads::alive().into_iter();
    threads
        .map(|(number, (thread, _))| (number, thread))
        .collect()
}

/// The kernel's ids of the workers, runtime by runtime, in the order in which they began.
pub(crate) fn workers() -> Vec<u32> {
    let mut workers: Vec<(u32, u32, u32)> = threads::alive()
        .into_iter()
        .filter(|(_, (_, slot))| slot.role() == Role::Worker)
        .map(|(number, (thread, slot))| {
            let runtime = slot.runtime.load(Ordering::Relaxed);
            (runtime, number, thread.tid)
        })
        .collect();
    workers.sort_unstable();
    workers.into_iter().map(|(_, _, tid)| tid).collect()
}

/// The kernel's ids of all threads that the probe knows.
pub(crate) fn thread_ids() -> BTreeSet<u32> {
    threads::alive()
        .values()
        .map(|(thread, _)| thread.tid)
        .collect()
}
