//! [`JoinSet::build_task`]: tasks of a set, with names.

use super::{JoinSet, LocalSet};
use crate::runtime::Handle;
use crate::task::spawning::{spawn_blocking_named, spawn_named};
use std::future::Future;
use std::io;
use std::panic::Location;
use tokio::task::AbortHandle;

/// tokio's `task::join_set::Builder`, instrumented. Always there, as [`task::Builder`](crate::task::Builder).
#[derive(Debug)]
#[must_use = "builders do nothing unless used to spawn a task"]
pub struct Builder<'a, T> {
    set: &'a mut JoinSet<T>,
    name: Option<&'a str>,
}

impl<'a, T: 'static> Builder<'a, T> {
    pub(super) fn new(set: &'a mut JoinSet<T>) -> Self {
        Builder { set, name: None }
    }

    /// The name of the task that will be spawned.
    pub fn name(self, name: &'a str) -> Self {
        Builder {
            name: Some(name),
            ..self
        }
    }

    /// [`JoinSet::spawn`], with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    ///
    /// # Panics
    /// As tokio's: outside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        let set = &mut self.set.0;
        let handle = spawn_named!(self.name, Task, future, |task|
            set.build_task() => spawn(task), set.spawn(task));
        if let Ok(handle) = &handle {
            self.set.spawned(Location::caller(), handle);
        }
        handle
    }

    /// [`JoinSet::spawn_on`], with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        let set = &mut self.set.0;
        let handle = spawn_named!(self.name, Task, future, |task|
            set.build_task() => spawn_on(task, handle), set.spawn_on(task, handle));
        if let Ok(handle) = &handle {
            self.set.spawned(Location::caller(), handle);
        }
        handle
    }

    /// [`JoinSet::spawn_local`], with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    ///
    /// # Panics
    /// As tokio's: outside of a `LocalSet` or `LocalRuntime`.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        let set = &mut self.set.0;
        let handle = spawn_named!(self.name, Local, future, |task|
            set.build_task() => spawn_local(task), set.spawn_local(task));
        if let Ok(handle) = &handle {
            self.set.spawned(Location::caller(), handle);
        }
        handle
    }

    /// [`JoinSet::spawn_local_on`], with the name.
    ///
    /// # Errors
    /// As tokio's: none today.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local_set: &LocalSet) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        let _current = local_set.spawns();
        let set = &mut self.set.0;
        let handle = spawn_named!(self.name, Local, future, |task|
            set.build_task() => spawn_local_on(task, local_set), set.spawn_local_on(task, local_set));
        if let Ok(handle) = &handle {
            self.set.spawned(Location::caller(), handle);
        }
        handle
    }

    /// [`JoinSet::spawn_blocking`], with the name.
    ///
    /// # Errors
    /// As [`task::Builder::spawn_blocking`](crate::task::Builder::spawn_blocking).
    ///
    /// # Panics
    /// As tokio's: outside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking<F>(self, f: F) -> io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        let set = &mut self.set.0;
        let handle = spawn_blocking_named!(self.name, f, None, |f|
            set.build_task() => spawn_blocking(f), set.spawn_blocking(f));
        if let Ok(handle) = &handle {
            self.set.spawned(Location::caller(), handle);
        }
        handle
    }

    /// [`JoinSet::spawn_blocking_on`], with the name.
    ///
    /// # Errors
    /// As [`task::Builder::spawn_blocking`](crate::task::Builder::spawn_blocking).
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking_on<F>(self, f: F, handle: &Handle) -> io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        let set = &mut self.set.0;
        let handle = spawn_blocking_named!(self.name, f, Some(handle), |f|
            set.build_task() => spawn_blocking_on(f, handle), set.spawn_blocking_on(f, handle));
        if let Ok(handle) = &handle {
            self.set.spawned(Location::caller(), handle);
        }
        handle
    }
}
