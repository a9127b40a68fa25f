//! [`tokio::task::JoinSet`], instrumented.

use super::LocalSet;
use super::spawning::{spawn, spawn_blocking};
use crate::runtime::Handle;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};
use tokio::task::{AbortHandle, Id, JoinError};

mod builder;

pub use builder::Builder;

/// [`tokio::task::JoinSet`] whose tasks are instrumented. Derefs to tokio's and converts from and into it.
pub struct JoinSet<T>(tokio::task::JoinSet<T>);

impl<T: 'static> JoinSet<T> {
    /// A builder for a task of this set, by which it gets a name. tokio's own is there with `tokio_unstable` and the feature
    /// `tracing` only.
    pub fn build_task(&mut self) -> Builder<'_, T> {
        Builder::new(self)
    }

    /// [`tokio::task::JoinSet::spawn`], instrumented.
    ///
    /// # Panics
    /// As tokio's: outside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn spawn<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        spawn!(Task, task, |task| self.0.spawn(task))
    }

    /// [`tokio::task::JoinSet::spawn_on`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_on<F>(&mut self, task: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        spawn!(Task, task, |task| self.0.spawn_on(task, handle))
    }

    /// [`tokio::task::JoinSet::spawn_local`], instrumented.
    ///
    /// # Panics
    /// As tokio's: outside of a `LocalSet` or `LocalRuntime`.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        spawn!(Local, task, |task| self.0.spawn_local(task))
    }

    /// [`tokio::task::JoinSet::spawn_local_on`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, task: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        spawn!(Local, task, |task| self.0.spawn_local_on(task, local_set))
    }

    /// [`tokio::task::JoinSet::spawn_blocking`], instrumented.
    ///
    /// # Panics
    /// As tokio's: outside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        spawn_blocking!(f, |f| self.0.spawn_blocking(f))
    }

    /// [`tokio::task::JoinSet::spawn_blocking_on`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        spawn_blocking!(f, |f| self.0.spawn_blocking_on(f, handle))
    }

    /// [`tokio::task::JoinSet::join_next`].
    pub fn join_next(&mut self) -> impl Future<Output = Option<Result<T, JoinError>>> {
        self.0.join_next()
    }

    /// [`tokio::task::JoinSet::join_next_with_id`].
    pub fn join_next_with_id(
        &mut self,
    ) -> impl Future<Output = Option<Result<(Id, T), JoinError>>> {
        self.0.join_next_with_id()
    }

    /// [`tokio::task::JoinSet::poll_join_next`].
    pub fn poll_join_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, JoinError>>> {
        self.0.poll_join_next(context)
    }

    /// [`tokio::task::JoinSet::poll_join_next_with_id`].
    pub fn poll_join_next_with_id(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        self.0.poll_join_next_with_id(context)
    }

    /// [`tokio::task::JoinSet::try_join_next`].
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.0.try_join_next()
    }

    /// [`tokio::task::JoinSet::try_join_next_with_id`].
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.0.try_join_next_with_id()
    }

    /// [`tokio::task::JoinSet::shutdown`].
    pub fn shutdown(&mut self) -> impl Future<Output = ()> {
        self.0.shutdown()
    }

    /// [`tokio::task::JoinSet::abort_all`].
    pub fn abort_all(&mut self) {
        self.0.abort_all();
    }

    /// [`tokio::task::JoinSet::detach_all`].
    pub fn detach_all(&mut self) {
        self.0.detach_all();
    }

    /// [`tokio::task::JoinSet::join_all`].
    pub async fn join_all(self) -> Vec<T> {
        self.0.join_all().await
    }
}

impl<T> JoinSet<T> {
    /// [`tokio::task::JoinSet::new`].
    pub fn new() -> Self {
        JoinSet(tokio::task::JoinSet::new())
    }

    /// [`tokio::task::JoinSet::len`].
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// [`tokio::task::JoinSet::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> std::fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Deref for JoinSet<T> {
    type Target = tokio::task::JoinSet<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> From<tokio::task::JoinSet<T>> for JoinSet<T> {
    fn from(inner: tokio::task::JoinSet<T>) -> Self {
        JoinSet(inner)
    }
}

impl<T> From<JoinSet<T>> for tokio::task::JoinSet<T> {
    fn from(outer: JoinSet<T>) -> Self {
        outer.0
    }
}

impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(tasks: I) -> Self {
        let mut set = Self::new();
        set.extend(tasks);
        set
    }
}

impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, tasks: I) {
        for task in tasks {
            self.spawn(task);
        }
    }
}
