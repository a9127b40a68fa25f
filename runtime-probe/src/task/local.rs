//! [`tokio::task::LocalSet`] and `spawn_local`, instrumented.

use super::spawning::spawn;
use crate::registry::local_sets;
use crate::runtime::Runtime;
use crate::source::waker;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Id;
use tokio::task::{JoinHandle, LocalEnterGuard};

/// [`tokio::task::spawn_local`], instrumented.
///
/// # Panics
/// As tokio's: outside of a `LocalSet` or `LocalRuntime`.
#[inline(always)]
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn!(Local, future, |future| tokio::task::spawn_local(future))
}

/// [`tokio::task::LocalSet`] whose tasks are instrumented. Derefs to tokio's and converts from and into it.
pub struct LocalSet(tokio::task::LocalSet, Arc<local_sets::LocalSet>);

impl LocalSet {
    /// [`tokio::task::LocalSet::new`].
    pub fn new() -> Self {
        tokio::task::LocalSet::new().into()
    }

    /// [`tokio::task::LocalSet::spawn_local`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let _current = self.spawns();
        spawn!(Local, future, |future| self.0.spawn_local(future))
    }

    /// While the returned value lives, local tasks that this thread spawns are of this set.
    pub(super) fn spawns(&self) -> local_sets::Current {
        self.1.spawns()
    }

    /// [`tokio::task::LocalSet::block_on`]; the future is a task of its own, as the root of a
    /// [`Runtime::block_on`].
    ///
    /// # Panics
    /// As tokio's: inside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn block_on<F: Future>(&self, rt: &Runtime, future: F) -> F::Output {
        rt.block_on(self.run_until(future))
    }

    /// [`tokio::task::LocalSet::unhandled_panic`].
    ///
    /// # Panics
    /// As tokio's: when the set has been used.
    #[cfg(tokio_unstable)]
    pub fn unhandled_panic(&mut self, behavior: tokio::runtime::UnhandledPanic) -> &mut Self {
        self.0.unhandled_panic(behavior);
        self
    }

    /// [`tokio::task::LocalSet::enter`].
    pub fn enter(&self) -> LocalEnterGuard {
        self.0.enter()
    }

    /// [`tokio::task::LocalSet::id`].
    pub fn id(&self) -> Id {
        self.0.id()
    }

    /// [`tokio::task::LocalSet::run_until`].
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        let mut running = pin!(self.0.run_until(future));
        poll_fn(|context| {
            let _polling = self.1.is_polled(waker::current_task());
            running.as_mut().poll(context)
        })
        .await
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let LocalSet(set, listed) = &mut *self;
        let _polling = listed.is_polled(waker::current_task());
        Pin::new(set).poll(context)
    }
}

impl Default for LocalSet {
    fn default() -> Self {
        LocalSet::new()
    }
}

impl std::fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Deref for LocalSet {
    type Target = tokio::task::LocalSet;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for LocalSet {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<tokio::task::LocalSet> for LocalSet {
    fn from(inner: tokio::task::LocalSet) -> Self {
        LocalSet(inner, local_sets::LocalSet::enlist())
    }
}

impl From<LocalSet> for tokio::task::LocalSet {
    fn from(outer: LocalSet) -> Self {
        outer.0
    }
}
