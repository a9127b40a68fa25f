//! A copy of a record, of one piece.

use super::flags::{FROZEN, KIND, NAME_SHIFT, OPEN, RUNTIME_SHIFT};
use super::labels::{address_of, labels_of};
use super::phase::{IDLE, TOLD_AT_ITS_END};
use super::references::{is_one, version_of};
use super::waits::{REPEATED, is_of, poll_mark};
use super::waking::{is_of_phase, self_wakes_of};
use super::{Kind, Record, Waking};
use crate::clock::Ticks;
use crate::labels::LabelSet;
use crate::primitive::{AtomicU64, Ordering, fence};
use crate::registry::names::NameNumber;
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::threads::ThreadNumber;
use crate::stack::raw::FutureMeta;
use crate::stack::wait_set::WaitSet;
use std::panic::Location;

/// A copy of a record, of one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The version of the record, which is another one for each task.
    pub(crate) version: u32,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) polls: u64,
    pub(crate) polling: bool,
    /// Begin of the current poll, or end of the last one, or the spawn.
    pub(crate) since: Ticks,
    /// (time, source) of the first wake since that poll began, if there was one. The time is 0 for a wake during the
    /// poll. For a wake by a task, it is the begin of that task's poll.
    pub(crate) woken: Option<(Ticks, Waking)>,
    /// The time of the last wake; 0 if it came during a poll.
    pub(crate) wake_at: Ticks,
    /// Polls in which the task woke itself, up to 2^32.
    pub(crate) self_wakes: u64,
    /// Time inside finished polls.
    pub(crate) busy: Ticks,
    pub(crate) worker: ThreadNumber,
    pub(crate) waits: Option<&'static WaitSet>,
    /// Whether `waits` belongs to the last poll, not to an earlier one.
    pub(crate) waits_are_new: bool,
    /// Whether the last poll was caused by a wake through the only waker, and did nothing but repeat the registration
    /// of that waker.
    pub(crate) only_repeats: bool,
    /// The number of our wakers that exist. Without one, nothing can wake a waiting task.
    pub(crate) wakers: usize,
    pub(crate) frozen: bool,
    pub(crate) name: NameNumber,
    pub(crate) runtime: RuntimeNumber,
    pub(crate) parent: u64,
    pub(crate) location: Option<&'static Location<'static>>,
    pub(crate) pc: usize,
    pub(crate) labels: LabelSet,
    pub(crate) meta: Option<&'static FutureMeta>,
    pub(crate) spawned: Ticks,
    /// The address of the record, as its identity.
    pub(crate) address: usize,
    /// Of a nested future: the record in whose poll it is polled; 0 for none.
    pub(crate) outer: usize,
    /// The `LocalSet` of a local task; 0 if not known.
    pub(crate) local_set: u32,
    /// How to find tokio's own task.
    #[cfg(feature = "rt")]
    pub(crate) tokio_task: TokioTask,
}

/// How to find tokio's own task.
#[cfg(feature = "rt")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokioTask {
    /// Not known, or there is none.
    Unknown,
    /// By its address.
    At(usize),
    /// By the task's own waker, which is at this address.
    WokenBy(usize),
}

impl Record {
    /// A consistent copy; `None` for a free record, for an ended task, and if the owner changed meanwhile.
    pub(crate) fn view(&self) -> Option<View> {
        const TRIES: usize = 8;
        for attempt in 0..TRIES {
            // Acquire: pairs with the Release in `open`.
            let version = version_of(self.refs.load(Ordering::Acquire));
            if version.is_multiple_of(2) {
                return None;
            }
            let phase = self.phase.load(Ordering::Acquire);
            let flags = self.flags.load(Ordering::Relaxed);
            // Loaded after `phase`, so that no poll has changed them. And before `woken`. Acquire: pairs with the Release in
            // `subtract`, because a thread that consumes a waker stores its stamp before.
            let wakers = self.wakers(self.refs.load(Ordering::Acquire));
            let woken = self.woken.load(Ordering::Acquire);
            let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
            // Loaded before `since`. Acquire: pairs with the Release in `begin_poll`.
            let worker = self.worker.load(Ordering::Acquire);
            let (wake_at, woken_by) = (load(&self.wake_at), load(&self.woken_by));
            let woken_alone = is_one(self.woken_among.load(Ordering::Relaxed));
            let polls = phase >> 1;
            let is_woken = is_of_phase(woken, phase);
            // Words that the task's first poll, wait or wake writes may be of the record's former owner until then.
            let was_polled = polls != 0;
            let was_woken = was_polled && (woken != 0 || is_woken);
            let spawned = load(&self.spawned);
            let wake_at = if was_woken { wake_at } else { spawned };
            let by = match was_woken {
                true => Waking::unpack(woken_by),
                false => Waking::Unknown,
            };
            let waits = self.last_waits();
            let kind = Kind::of((flags & KIND) as u8).unwrap_or(Kind::Task);
            let next = address_of(self.next.load(Ordering::Relaxed).addr());
            let waits_poll = self.waits_poll.load(Ordering::Relaxed);
            let marks = load(&self.marks);
            let site = self.site();
            let view = View {
                version,
                id: load(&self.id),
                kind,
                polls,
                polling: phase & 1 == 1,
                // A poll with no timestamp yet has just begun.
                since: if phase & 1 == 1 && worker & IDLE != 0 {
                    Ticks::MAX
                } else {
                    load(&self.since) & !TOLD_AT_ITS_END
                },
                woken: is_woken.then_some((wake_at, by)),
                wake_at,
                self_wakes: self_wakes_of(marks),
                busy: load(&self.busy),
                // Until the first poll has written it, it is of the former owner.
                worker: match polls > u64::from(phase & 1 == 1 && worker & IDLE != 0) {
                    true => ThreadNumber(worker & !IDLE),
                    false => ThreadNumber::default(),
                },
                waits,
                waits_are_new: waits.is_some() && is_of(waits_poll, polls),
                only_repeats: waits.is_some()
                    && waits_poll == poll_mark(polls) | REPEATED
                    && was_woken
                    && is_of_phase(woken, phase.wrapping_sub(2))
                    && woken_alone,
                wakers: wakers as usize,
                frozen: flags & FROZEN != 0,
                name: NameNumber((flags >> NAME_SHIFT) as u32),
                runtime: RuntimeNumber((flags >> RUNTIME_SHIFT) as u16),
                parent: load(&self.parent),
                location: site.location,
                pc: site.pc,
                labels: labels_of(marks),
                meta: site.meta,
                spawned,
                address: std::ptr::from_ref(self) as usize,
                outer: if kind == Kind::Nested { next } else { 0 },
                local_set: if kind == Kind::Local { next as u32 } else { 0 },
                #[cfg(feature = "rt")]
                tokio_task: match kind {
                    Kind::Task | Kind::Local if polls > 0 => {
                        TokioTask::WokenBy(self.slot.address())
                    }
                    Kind::Blocking if next != 0 => TokioTask::At(next),
                    _ => TokioTask::Unknown,
                },
            };
            // Everything above is read before the two checks.
            fence(Ordering::Acquire);
            if self.version(Ordering::Relaxed) != version || flags & OPEN == 0 {
                return None;
            }
            // The record of a task that is polled all the time changes at each attempt: the last attempt takes it as
            // running.
            if self.phase.load(Ordering::Relaxed) == phase || attempt == TRIES - 1 {
                let steady = self.phase.load(Ordering::Relaxed) == phase;
                return Some(View {
                    polling: view.polling || !steady,
                    ..view
                });
            }
        }
        None
    }
}
