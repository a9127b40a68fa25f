//! User tasks, regions and logs, for an execution trace.
//!
//! A user task is in force for the poll of its future, as labels are: in a word of the thread, together with the poll.
//! Tasks that are spawned meanwhile belong to it. The trace derives that from the spawn, so a record has no word for
//! it.
//!
//! While no trace is taken, a region costs a look-up of the user task in force and two loads. A user task costs, for
//! each poll, a look-up of the polled task and two exchanges of the thread's word.

use super::trace::{self, Said};
use super::waker;
#[cfg(feature = "sync")]
use crate::clock;
use crate::demand::Demand;
use crate::primitive::{AtomicU64, Ordering};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A static text in one word: the length above the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct StaticText(u64);

/// The bits of an address in user space.
const ADDRESS: u32 = 48;

impl StaticText {
    pub(super) fn new(text: &'static str) -> Self {
        let length = text.len().min(usize::from(u16::MAX));
        let length = (0..=length).rev().find(|at| text.is_char_boundary(*at));
        match text.as_ptr().addr() as u64 {
            address if address < 1 << ADDRESS => {
                StaticText((length.unwrap_or(0) as u64) << ADDRESS | address)
            }
            _ => StaticText::default(),
        }
    }

    /// The text.
    #[expect(unsafe_code, reason = "comes back as an address")]
    pub(crate) fn text(self) -> &'static str {
        let address = (self.0 & ((1 << ADDRESS) - 1)) as *const u8;
        let length = (self.0 >> ADDRESS) as usize;
        if length == 0 {
            return "";
        }
        // SAFETY: only `new` makes words of this type (`of_word` takes the result of `word`), from a static text that
        // is cut at a character boundary.
        unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(address, length)) }
    }

    /// The word for an entry.
    pub(super) fn word(self) -> u64 {
        self.0
    }

    /// The text of a word from [`StaticText::word`].
    pub(super) fn of_word(word: u64) -> Self {
        StaticText(word)
    }
}

/// A user task, as its parts refer to it. The id 0 is none, or the one that the task inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserTask {
    pub(crate) id: u64,
    pub(crate) name: StaticText,
}

#[derive(Clone, Copy)]
struct InForce {
    /// The frame of the poll; 0 outside of any.
    poll: usize,
    task: UserTask,
}

thread_local! {
    /// The id is 0 for none.
    static IN_FORCE: Cell<InForce> = const {
        Cell::new(InForce { poll: 0, task: UserTask { id: 0, name: StaticText(0) } })
    };
}

/// The user task in force on this thread.
pub(super) fn current() -> UserTask {
    let in_force = IN_FORCE.with(Cell::get);
    match in_force.task.id != 0 && in_force.poll == waker::place() {
        true => in_force.task,
        false => UserTask::default(),
    }
}

/// The next id of a user task.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// All ids of existing user tasks are below this one.
pub(crate) fn next_id() -> u64 {
    NEXT.load(Ordering::Relaxed)
}

/// The stage of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ahead,
    UnderWay,
    Over,
}

/// A future that is a user task. It behaves exactly as the future inside.
#[must_use = "futures do nothing unless polled"]
pub struct Tasked<F> {
    task: UserTask,
    stage: Stage,
    future: F,
}

impl<F> Tasked<F> {
    pub(crate) fn new(name: &'static str, future: F) -> Self {
        Tasked {
            task: UserTask {
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                name: StaticText::new(name),
            },
            stage: Stage::Ahead,
            future,
        }
    }
}

/// Restores the previous user task at the end of a poll, also after a panic.
struct Polling(InForce);

impl Drop for Polling {
    fn drop(&mut self) {
        IN_FORCE.with(|in_force| in_force.set(self.0));
    }
}

impl<F: Future> Future for Tasked<F> {
    type Output = F::Output;

    #[inline]
    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with the wrapper: it is never moved out, `Drop` does not touch it, and the wrapper is
        // Unpin only if the future is. The other fields are not pinned.
        let (task, stage, future) = unsafe {
            let this = self.get_unchecked_mut();
            let future = Pin::new_unchecked(&mut this.future);
            (this.task, &mut this.stage, future)
        };
        if *stage == Stage::Ahead {
            *stage = Stage::UnderWay;
            if Demand::Trace.is_on() {
                trace::said(Said::TaskBegin {
                    task,
                    parent: current().id,
                });
            }
        }
        let poll = waker::place();
        let before = IN_FORCE.with(|in_force| in_force.replace(InForce { poll, task }));
        let polling = Polling(before);
        let polled = future.poll(context);
        drop(polling);
        if polled.is_ready() {
            *stage = Stage::Over;
            task_ends(task);
        }
        polled
    }
}

fn task_ends(task: UserTask) {
    if Demand::Trace.is_on() {
        trace::said(Said::TaskEnd(task));
    }
}

impl<F> Drop for Tasked<F> {
    fn drop(&mut self) {
        if self.stage == Stage::UnderWay {
            task_ends(self.task);
        }
    }
}

/// An open region.
#[derive(Clone, Copy, Debug)]
struct Open {
    task: UserTask,
    name: StaticText,
}

impl Open {
    fn begin(name: StaticText) -> Self {
        let task = current();
        if Demand::Trace.is_on() {
            trace::said(Said::RegionBegin { task, name });
        }
        Open { task, name }
    }

    fn end(self) {
        if Demand::Trace.is_on() {
            let Open { task, name } = self;
            trace::said(Said::RegionEnd { task, name });
        }
    }
}

/// A future that is a region of its task. It behaves exactly as the future inside.
#[must_use = "futures do nothing unless polled"]
pub struct Region<F> {
    name: StaticText,
    /// Set from the first poll on.
    open: Option<Open>,
    is_over: bool,
    future: F,
}

impl<F> Region<F> {
    pub(crate) fn new(name: &'static str, future: F) -> Self {
        Region {
            name: StaticText::new(name),
            open: None,
            is_over: false,
            future,
        }
    }
}

impl<F: Future> Future for Region<F> {
    type Output = F::Output;

    #[inline]
    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: as for a user task.
        let (name, open, is_over, future) = unsafe {
            let this = self.get_unchecked_mut();
            let future = Pin::new_unchecked(&mut this.future);
            (this.name, &mut this.open, &mut this.is_over, future)
        };
        if open.is_none() && !*is_over {
            *open = Some(Open::begin(name));
        }
        let polled = future.poll(context);
        if polled.is_ready() {
            *is_over = true;
            open.take().into_iter().for_each(Open::end);
        }
        polled
    }
}

impl<F> Drop for Region<F> {
    fn drop(&mut self) {
        self.open.take().into_iter().for_each(Open::end);
    }
}

/// A region of this thread, or of the task that it polls, until this is dropped.
#[must_use = "the region lasts for as long as this lives"]
pub struct RegionScope {
    open: Open,
    /// Not `Send`: it belongs to its thread.
    _here: PhantomData<*const ()>,
}

impl RegionScope {
    pub(crate) fn new(name: &'static str) -> Self {
        RegionScope {
            open: Open::begin(StaticText::new(name)),
            _here: PhantomData,
        }
    }
}

impl Drop for RegionScope {
    fn drop(&mut self) {
        self.open.end();
    }
}

/// The name of the region in which a thread waits for a lock. A task whose thread it is does not wait by Go's states,
/// since its poll goes on.
pub(crate) const THREAD_BLOCKED: &str = "thread blocked by a lock";

/// A wait of this thread for a lock of ours, until this is dropped.
#[cfg(feature = "sync")]
pub(super) struct ThreadBlocked {
    is_told: bool,
}

#[cfg(feature = "sync")]
impl ThreadBlocked {
    pub(super) fn new() -> Self {
        IS_BLOCKED.with(|is_blocked| is_blocked.set(true));
        let is_told = Demand::Trace.is_on() && trace::blocks_at_a_lock();
        ThreadBlocked { is_told }
    }
}

#[cfg(feature = "sync")]
impl Drop for ThreadBlocked {
    fn drop(&mut self) {
        IS_BLOCKED.with(|is_blocked| is_blocked.set(false));
        if self.is_told {
            trace::unblocks(clock::ticks(), None, true);
        }
    }
}

#[cfg(any(feature = "sync", all(feature = "interpose", target_os = "linux")))]
thread_local! {
    static IS_BLOCKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the thread is in a [`ThreadBlocked`]: the waits of the lock inside are parts of it.
#[cfg(all(feature = "interpose", target_os = "linux"))]
pub(super) fn is_thread_blocked() -> bool {
    IS_BLOCKED.with(Cell::get)
}

/// Writes a log.
pub(crate) fn log(category: &'static str, message: &str) {
    if Demand::Trace.is_on() {
        let category = StaticText::new(category);
        trace::log(current(), category, message);
    }
}

impl<F> fmt::Debug for Tasked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasked")
            .field("name", &self.task.name.text())
            .field("id", &self.task.id)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Region<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("name", &self.name.text())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RegionScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionScope")
            .field("name", &self.open.name.text())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_from_its_word() {
        let long: &'static str = Box::leak("é".repeat(40_000).into_boxed_str());
        for (text, kept) in [("", ""), ("parse", "parse"), (long, &long[..65_534])] {
            let word = StaticText::new(text).word();
            assert_eq!(StaticText::of_word(word).text(), kept);
        }
    }
}
