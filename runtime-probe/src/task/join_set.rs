//! [`tokio::task::JoinSet`], instrumented.

use super::LocalSet;
use super::spawning::{spawn, spawn_blocking};
use crate::registry::join_sets::Members;
use crate::runtime::Handle;
use crate::source::foreign::number;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tokio::task::{AbortHandle, Id, JoinError, coop};

mod builder;

pub use builder::Builder;

/// [`tokio::task::JoinSet`] whose tasks are instrumented. Derefs to tokio's and converts from and into it.
pub struct JoinSet<T>(tokio::task::JoinSet<T>, Members, KeptWaker);

/// Whether tokio's set may have kept the waker of a poll that found a result. The next question of that poll would then be no
/// registration.
#[derive(Default)]
struct KeptWaker(bool);

impl<T: 'static> JoinSet<T> {
    /// A builder for a named task of this set. tokio's own builder exists only with `tokio_unstable` and the feature
    /// `tracing`.
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
        let handle = spawn!(Task, task, |task| self.0.spawn(task));
        self.spawned(Location::caller(), &handle);
        handle
    }

    /// [`tokio::task::JoinSet::spawn_on`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_on<F>(&mut self, task: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        let handle = spawn!(Task, task, |task| self.0.spawn_on(task, handle));
        self.spawned(Location::caller(), &handle);
        handle
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
        let handle = spawn!(Local, task, |task| self.0.spawn_local(task));
        self.spawned(Location::caller(), &handle);
        handle
    }

    /// [`tokio::task::JoinSet::spawn_local_on`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, task: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        let _current = local_set.spawns();
        let handle = spawn!(Local, task, |task| self.0.spawn_local_on(task, local_set));
        self.spawned(Location::caller(), &handle);
        handle
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
        let handle = spawn_blocking!(f, |f| self.0.spawn_blocking(f));
        self.spawned(Location::caller(), &handle);
        handle
    }

    /// [`tokio::task::JoinSet::spawn_blocking_on`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        let handle = spawn_blocking!(f, on handle, |f| self.0.spawn_blocking_on(f, handle));
        self.spawned(Location::caller(), &handle);
        handle
    }

    /// [`tokio::task::JoinSet::join_next`].
    pub fn join_next(&mut self) -> impl Future<Output = Option<Result<T, JoinError>>> {
        let JoinSet(set, members, kept) = self;
        async move {
            if members.are_of_several_places() {
                return next_with_id(set, members, kept).await.map(without_id);
            }
            // No result is kept while the future waits. Otherwise it would be `Sync` only if results are.
            if let joined @ Some(_) = at_once(set, kept, Set::try_join_next, Set::poll_join_next) {
                note_taken(members, &joined);
                return joined;
            }
            let joined = kept.taken(set.join_next().await);
            note_taken(members, &joined);
            joined
        }
    }

    /// [`tokio::task::JoinSet::join_next_with_id`].
    pub fn join_next_with_id(
        &mut self,
    ) -> impl Future<Output = Option<Result<(Id, T), JoinError>>> {
        next_with_id(&mut self.0, &mut self.1, &mut self.2)
    }

    /// [`tokio::task::JoinSet::poll_join_next`].
    pub fn poll_join_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, JoinError>>> {
        if self.1.are_of_several_places() {
            let joined = self.poll_join_next_with_id(context);
            return joined.map(|joined| joined.map(without_id));
        }
        let JoinSet(set, _, kept) = self;
        let (take, poll) = (Set::try_join_next, Set::poll_join_next);
        let joined = poll_next(set, kept, take, poll, context);
        if let Poll::Ready(joined) = &joined {
            note_taken(&mut self.1, joined);
        }
        joined
    }

    /// [`tokio::task::JoinSet::poll_join_next_with_id`].
    pub fn poll_join_next_with_id(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        let JoinSet(set, _, kept) = self;
        let (take, poll) = (Set::try_join_next_with_id, Set::poll_join_next_with_id);
        let joined = poll_next(set, kept, take, poll, context);
        if let Poll::Ready(joined) = &joined {
            note_joined(&mut self.1, joined);
        }
        joined
    }

    /// [`tokio::task::JoinSet::try_join_next`].
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        if self.1.are_of_several_places() {
            return self.try_join_next_with_id().map(without_id);
        }
        let joined = self.0.try_join_next();
        note_taken(&mut self.1, &joined);
        joined
    }

    /// [`tokio::task::JoinSet::try_join_next_with_id`].
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        let joined = self.0.try_join_next_with_id();
        note_joined(&mut self.1, &joined);
        joined
    }

    /// [`tokio::task::JoinSet::shutdown`].
    pub fn shutdown(&mut self) -> impl Future<Output = ()> {
        self.1.lose();
        self.0.shutdown()
    }

    /// [`tokio::task::JoinSet::abort_all`].
    pub fn abort_all(&mut self) {
        self.0.abort_all();
    }

    /// [`tokio::task::JoinSet::detach_all`].
    pub fn detach_all(&mut self) {
        self.1.lose();
        self.0.detach_all();
    }

    /// [`tokio::task::JoinSet::join_all`].
    pub async fn join_all(mut self) -> Vec<T> {
        // tokio takes the results one by one, into a list.
        self.1.lose();
        self.0.join_all().await
    }
}

impl<T> JoinSet<T> {
    /// [`tokio::task::JoinSet::new`].
    pub fn new() -> Self {
        tokio::task::JoinSet::new().into()
    }

    /// [`tokio::task::JoinSet::len`].
    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn spawned(&mut self, location: &'static Location<'static>, task: &AbortHandle) {
        match crate::source::start_here() {
            true => self.1.spawned(location, number(task.id()), self.0.len()),
            false => self.1.lose(),
        }
    }

    /// [`tokio::task::JoinSet::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The next result, which is noted.
async fn next_with_id<T: 'static>(
    set: &mut Set<T>,
    members: &mut Members,
    kept: &mut KeptWaker,
) -> Option<Result<(Id, T), JoinError>> {
    // As in `join_next`.
    let (take, poll) = (Set::try_join_next_with_id, Set::poll_join_next_with_id);
    if let joined @ Some(_) = at_once(set, kept, take, poll) {
        note_joined(members, &joined);
        return joined;
    }
    let joined = kept.taken(set.join_next_with_id().await);
    note_joined(members, &joined);
    joined
}

/// Notes a joined task, if any, of a set whose tasks have one spawn site.
fn note_taken<T>(members: &mut Members, joined: &Option<T>) {
    if joined.is_some() {
        members.joined(None);
    }
}

/// Notes the joined task, if any.
fn note_joined<T>(members: &mut Members, joined: &Option<Result<(Id, T), JoinError>>) {
    let id = joined.as_ref().map(|joined| match joined {
        Ok((id, _)) => *id,
        Err(error) => error.id(),
    });
    if let Some(id) = id {
        members.joined(Some(number(id)));
    }
}

fn without_id<T>(joined: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
    joined.map(|(_, value)| value)
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
        // The probe does not see changes through this reference.
        self.1.lose();
        &mut self.0
    }
}

impl<T> From<tokio::task::JoinSet<T>> for JoinSet<T> {
    fn from(inner: tokio::task::JoinSet<T>) -> Self {
        let members = match inner.is_empty() {
            true => Members::default(),
            false => Members::unknown(),
        };
        JoinSet(inner, members, KeptWaker::default())
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

type Set<T> = tokio::task::JoinSet<T>;

/// Takes a result that is there, without the task's waker: tokio's set registers a waker before it looks for a result, and keeps
/// it if there is one. A waker that was kept so is replaced here.
///
/// A result takes one of the coop budget, as tokio's poll does. Without budget nothing is taken: tokio's poll, which comes next,
/// wakes the task and returns `Pending`.
fn at_once<T, R>(
    set: &mut Set<T>,
    kept: &mut KeptWaker,
    take: fn(&mut Set<T>) -> Option<R>,
    poll: fn(&mut Set<T>, &mut Context<'_>) -> Poll<Option<R>>,
) -> Option<R> {
    if !coop::has_budget_remaining() {
        return None;
    }
    let mut context = Context::from_waker(Waker::noop());
    if let Some(joined) = take(set) {
        let consumed = pin!(coop::consume_budget()).poll(&mut context);
        debug_assert!(consumed.is_ready(), "there was budget");
        return Some(joined);
    }
    match std::mem::take(&mut kept.0) {
        true => match poll(set, &mut context) {
            Poll::Ready(joined) => joined,
            Poll::Pending => None,
        },
        false => None,
    }
}

/// A poll for the next result, with one registration.
fn poll_next<T, R>(
    set: &mut Set<T>,
    kept: &mut KeptWaker,
    take: fn(&mut Set<T>) -> Option<R>,
    poll: fn(&mut Set<T>, &mut Context<'_>) -> Poll<Option<R>>,
    context: &mut Context<'_>,
) -> Poll<Option<R>> {
    match at_once(set, kept, take, poll) {
        None => poll(set, context).map(|joined| kept.taken(joined)),
        joined => Poll::Ready(joined),
    }
}

impl KeptWaker {
    /// Withdraws the registration of a poll that found a result.
    fn taken<R>(&mut self, joined: Option<R>) -> Option<R> {
        if joined.is_some() {
            crate::source::waker::withdraw();
            self.0 = true;
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    /// Lets the runtime run a task when it is dropped.
    struct RunsOnDrop(tokio::runtime::Runtime);

    impl Wake for RunsOnDrop {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for RunsOnDrop {
        fn drop(&mut self) {
            self.0.block_on(tokio::task::yield_now());
        }
    }

    fn current_thread() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.build().unwrap()
    }

    #[test]
    fn a_poll_registers_once_as_tokios_does() {
        let runtime = current_thread();
        let mut set = JoinSet::new();
        set.0.spawn_on(async { 42 }, runtime.handle());
        let waker = Waker::from(Arc::new(RunsOnDrop(runtime)));
        let first = set.poll_join_next(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        drop(waker);
        // The set keeps the last waker. This poll replaces it, so the task ends during the poll, which has looked before.
        let mut context = Context::from_waker(Waker::noop());
        assert!(set.poll_join_next(&mut context).is_pending());
        assert_eq!(set.try_join_next().unwrap().unwrap(), 42);
    }

    #[test]
    fn a_result_takes_coop_budget_as_tokios_does() {
        let runtime = current_thread();
        let (theirs, ours) = runtime.block_on(async {
            let (mut theirs, mut ours) = (tokio::task::JoinSet::new(), JoinSet::new());
            for _ in 0..500 {
                theirs.spawn(async {});
                ours.0.spawn(async {});
            }
            // The scheduler runs some dozens of tasks between two polls of this one.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            (
                pends(|context| theirs.poll_join_next(context).is_pending()).await,
                pends(|context| ours.poll_join_next(context).is_pending()).await,
            )
        });
        assert!(theirs < 500, "{theirs}");
        assert_eq!(theirs, ours);
    }

    /// The number of polls that have results until one has none, in a new poll of this task.
    async fn pends(mut poll: impl FnMut(&mut Context<'_>) -> bool) -> usize {
        tokio::task::yield_now().await;
        std::future::poll_fn(|context| {
            Poll::Ready((0..1000).take_while(|_| !poll(context)).count())
        })
        .await
    }
}
