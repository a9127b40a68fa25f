//! The labels in force: the future and the guard that set them, and the read by samples.
//!
//! A set is in force for a poll of a task, or for the thread outside of any poll. The thread has it, together with the
//! poll it belongs to. So a set that a guard left behind belongs to another poll, and has no effect. A
//! spawned task inherits the labels of its spawner, in its record; they are in force if its poll sets no others.
//! Between two polls, the record has the set of the task's last registration.
//!
//! Without any label in the process, a spawn and a poll cost nothing more.

use super::{trace, waker};
use crate::labels::LabelSet;
use crate::primitive::Ordering;
use crate::registry::task::Record;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, compiler_fence};
use std::task::{Context, Poll};

/// Whether any label was ever set.
static ANY: AtomicBool = AtomicBool::new(false);

/// A set, and the poll for which it is in force; 0 outside of any.
#[derive(Clone, Copy)]
struct InForce {
    poll: u64,
    set: LabelSet,
}

/// No poll.
const CHANGING: u64 = 1;

thread_local! {
    /// No destructor, so a signal handler can read it for as long as the thread runs.
    static POLL: Cell<u64> = const { Cell::new(0) };
    static SET: Cell<LabelSet> = const { Cell::new(LabelSet::NONE) };
}

impl InForce {
    /// This thread's. Async-signal-safe.
    fn get() -> InForce {
        let poll = POLL.with(Cell::get);
        compiler_fence(Ordering::Acquire);
        InForce {
            poll,
            set: SET.with(Cell::get),
        }
    }

    fn put(self) {
        // A signal handler on this thread that finds the poll finds its set.
        POLL.with(|poll| poll.set(CHANGING));
        compiler_fence(Ordering::Release);
        SET.with(|set| set.set(self.set));
        compiler_fence(Ordering::Release);
        POLL.with(|poll| poll.set(self.poll));
    }
}

/// The labels in force on this thread. Async-signal-safe.
#[inline(always)]
pub(crate) fn current() -> LabelSet {
    match ANY.load(Ordering::Relaxed) {
        true => of_this_thread(),
        false => LabelSet::NONE,
    }
}

#[inline(never)]
fn of_this_thread() -> LabelSet {
    let (poll, record) = waker::under_way();
    let in_force = InForce::get();
    let set = in_force.set;
    match (set.is_none() || in_force.poll != poll, record) {
        (false, _) => set,
        (true, Some(record)) => record.inherited_labels(),
        (true, None) => LabelSet::NONE,
    }
}

/// Puts a set in force. Returns the previous one, and the poll.
fn enter(set: LabelSet) -> (InForce, u64) {
    let (poll, record) = waker::under_way();
    if let Some(record) = record {
        set_labels(record, set);
    }
    let before = InForce::get();
    InForce { poll, set }.put();
    (before, poll)
}

/// Restores the previous set, in the same poll only.
fn leave(before: InForce, poll: u64) {
    if waker::under_way().0 == poll {
        before.put();
    }
}

/// Sets the record's labels to those in force.
fn withdraw() {
    if let (_, Some(record)) = waker::under_way() {
        set_labels(record, current());
    }
}

/// Sets the labels of a task. Most polls have the labels of the last one, and change nothing.
#[inline(always)]
fn set_labels(record: &Record, set: LabelSet) {
    let before = record.labels();
    if before != set {
        record.set_labels(set);
        trace::labels(record, before, set);
    }
}

/// A future with labels. It behaves exactly as the future inside.
#[must_use = "futures do nothing unless polled"]
pub struct Labeled<F> {
    set: LabelSet,
    /// Whether it was polled and has not finished, so the task may be waiting in it.
    is_pending: bool,
    future: F,
}

impl<F> Labeled<F> {
    /// Runs `future` with the labels in force here, and `more`.
    pub(crate) fn new<'l>(
        more: impl IntoIterator<Item = (&'l str, &'l str)>,
        future: F,
    ) -> Labeled<F> {
        Labeled {
            set: merged(more),
            is_pending: false,
            future,
        }
    }
}

fn merged<'l>(more: impl IntoIterator<Item = (&'l str, &'l str)>) -> LabelSet {
    if !super::start_here() {
        return LabelSet::NONE;
    }
    // Acquire and Release: after this, spawns on this thread ask for labels, whichever thread was first.
    if !ANY.load(Ordering::Acquire) {
        super::look_closer_for_good();
        ANY.store(true, Ordering::Release);
    }
    current().with(more)
}

impl<F> fmt::Debug for Labeled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labeled")
            .field("labels", &self.set.pairs())
            .finish_non_exhaustive()
    }
}

/// Restores the labels at the end of a poll, also after a panic.
struct Polling {
    before: InForce,
    poll: u64,
}

impl Drop for Polling {
    fn drop(&mut self) {
        leave(self.before, self.poll);
    }
}

impl<F: Future> Future for Labeled<F> {
    type Output = F::Output;

    #[inline]
    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with the wrapper: it is never moved out, `Drop` does not touch it, and the wrapper is
        // Unpin only if the future is. The other fields are not pinned.
        let (set, is_pending, future) = unsafe {
            let this = self.get_unchecked_mut();
            let future = Pin::new_unchecked(&mut this.future);
            (this.set, &mut this.is_pending, future)
        };
        if set.is_none() {
            return future.poll(context);
        }
        *is_pending = true;
        let (before, poll) = enter(set);
        let polling = Polling { before, poll };
        let polled = future.poll(context);
        drop(polling);
        if polled.is_ready() {
            *is_pending = false;
            withdraw();
        }
        polled
    }
}

impl<F> Drop for Labeled<F> {
    fn drop(&mut self) {
        let here = |set| matches!(waker::under_way(), (_, Some(record)) if record.labels() == set);
        if self.is_pending && here(self.set) {
            withdraw();
        }
    }
}

/// Puts labels in force on its thread, for as long as it lives. Scopes must be dropped in the reverse order of their
/// creation.
#[must_use = "the labels are in force for as long as this lives"]
pub struct LabelScope {
    before: Option<(InForce, u64)>,
    /// Not `Send`: it belongs to its thread.
    _here: PhantomData<*const ()>,
}

impl LabelScope {
    /// Puts the labels in force here, and `more`, in force.
    pub(crate) fn new<'l>(more: impl IntoIterator<Item = (&'l str, &'l str)>) -> LabelScope {
        let set = merged(more);
        LabelScope {
            before: (!set.is_none()).then(|| enter(set)),
            _here: PhantomData,
        }
    }
}

impl fmt::Debug for LabelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelScope").finish_non_exhaustive()
    }
}

impl Drop for LabelScope {
    fn drop(&mut self) {
        if let Some((before, poll)) = self.before {
            leave(before, poll);
            withdraw();
        }
    }
}
