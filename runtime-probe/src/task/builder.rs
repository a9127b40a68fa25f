//! [`task::Builder`](Builder): tasks with names.

use super::spawning::{spawn_blocking_named, spawn_named};
use super::{JoinHandle, LocalSet};
use crate::runtime::Handle;
use std::future::Future;
use std::io;

/// tokio's `task::Builder`, instrumented, and always there: tokio's own needs `tokio_unstable` and the feature
/// `tracing`. With both, this builder spawns through tokio's, so that tokio's tracing span has the name too.
///
/// A dump shows the name in the `#` line of the task. A name is kept once for all its tasks, cut off at 256 bytes, and
/// freed with the last of them. A named task costs a lock and a look-up at its spawn and at its end.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # runtime_probe::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use runtime_probe::task;
///
/// let acceptor = task::Builder::new().name("acceptor").spawn(std::future::pending::<()>())?;
/// let mut dump = Vec::new();
/// runtime_probe::pprof::lookup("goroutine").unwrap().write_to(&mut dump, 2)?;
/// assert!(String::from_utf8_lossy(&dump).contains("# acceptor, "));
/// # acceptor.abort();
/// # Ok(()) }) }
/// ```
#[derive(Debug, Default)]
pub struct Builder<'a> {
    name: Option<&'a str>,
}

impl<'a> Builder<'a> {
    /// A builder without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the task that will be spawned.
    pub fn name(&self, name: &'a str) -> Self {
        Self { name: Some(name) }
    }

    /// [`task::spawn`](super::spawn), with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    ///
    /// # Panics
    /// As tokio's: outside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn spawn<Fut>(self, future: Fut) -> io::Result<JoinHandle<Fut::Output>>
    where
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        spawn_named!(self.name, Task, future, |task|
            tokio::task::Builder::new() => spawn(task), tokio::task::spawn(task))
    }

    /// [`Handle::spawn`], with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_on<Fut>(self, future: Fut, handle: &Handle) -> io::Result<JoinHandle<Fut::Output>>
    where
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let on: &tokio::runtime::Handle = handle;
        spawn_named!(self.name, Task, future, |task|
            tokio::task::Builder::new() => spawn_on(task, on), on.spawn(task))
    }

    /// [`task::spawn_local`](super::spawn_local), with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    ///
    /// # Panics
    /// As tokio's: outside of a `LocalSet` or `LocalRuntime`.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local<Fut>(self, future: Fut) -> io::Result<JoinHandle<Fut::Output>>
    where
        Fut: Future + 'static,
        Fut::Output: 'static,
    {
        spawn_named!(self.name, Local, future, |task|
            tokio::task::Builder::new() => spawn_local(task), tokio::task::spawn_local(task))
    }

    /// [`LocalSet::spawn_local`], with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local_on<Fut>(
        self,
        future: Fut,
        local_set: &LocalSet,
    ) -> io::Result<JoinHandle<Fut::Output>>
    where
        Fut: Future + 'static,
        Fut::Output: 'static,
    {
        let _current = local_set.spawns();
        let on: &tokio::task::LocalSet = local_set;
        spawn_named!(self.name, Local, future, |task|
            tokio::task::Builder::new() => spawn_local_on(task, on), on.spawn_local(task))
    }

    /// [`task::spawn_blocking`](super::spawn_blocking), with the name.
    ///
    /// # Errors
    /// As tokio's: no thread can be started. Without tokio's own builder this is a panic, as in tokio's
    /// `spawn_blocking`.
    ///
    /// # Panics
    /// As tokio's: outside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking<Function, Output>(
        self,
        function: Function,
    ) -> io::Result<JoinHandle<Output>>
    where
        Function: FnOnce() -> Output + Send + 'static,
        Output: Send + 'static,
    {
        spawn_blocking_named!(self.name, function, None, |function|
            tokio::task::Builder::new() => spawn_blocking(function), tokio::task::spawn_blocking(function))
    }

    /// [`Handle::spawn_blocking`], with the name.
    ///
    /// # Errors
    /// As [`Builder::spawn_blocking`].
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking_on<Function, Output>(
        self,
        function: Function,
        handle: &Handle,
    ) -> io::Result<JoinHandle<Output>>
    where
        Function: FnOnce() -> Output + Send + 'static,
        Output: Send + 'static,
    {
        let on: &tokio::runtime::Handle = handle;
        spawn_blocking_named!(self.name, function, Some(on), |function|
            tokio::task::Builder::new() => spawn_blocking_on(function, on), on.spawn_blocking(function))
    }
}
