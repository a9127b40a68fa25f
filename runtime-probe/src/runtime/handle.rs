//! [`tokio::runtime::Handle`], instrumented.

use super::root;
use crate::source::driving::Driving;
use crate::task::spawning::{spawn, spawn_blocking};
use std::future::Future;
use std::ops::Deref;
use tokio::runtime::{EnterGuard, Id, RuntimeFlavor, RuntimeMetrics, TryCurrentError};
use tokio::task::JoinHandle;

/// [`tokio::runtime::Handle`] whose tasks are instrumented. Derefs to tokio's and converts from and into it.
#[derive(Clone)]
pub struct Handle(tokio::runtime::Handle);

impl Handle {
    /// [`tokio::runtime::Handle::current`].
    ///
    /// # Panics
    /// As tokio's: outside of a runtime.
    #[track_caller]
    pub fn current() -> Self {
        Handle(tokio::runtime::Handle::current())
    }

    /// [`tokio::runtime::Handle::try_current`].
    ///
    /// # Errors
    /// As tokio's: outside of a runtime.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        tokio::runtime::Handle::try_current().map(Handle)
    }

    /// [`tokio::runtime::Handle::spawn`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn!(Task, future, |future| self.0.spawn(future))
    }

    /// [`tokio::runtime::Handle::spawn_blocking`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        spawn_blocking!(func, on & self.0, |func| self.0.spawn_blocking(func))
    }

    /// [`tokio::runtime::Handle::block_on`]; the future is a task of its own in a dump.
    ///
    /// # Panics
    /// As tokio's: inside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _driving = Driving::beside(self);
        self.0.block_on(root(future))
    }

    /// [`tokio::runtime::Handle::enter`].
    pub fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }

    /// [`tokio::runtime::Handle::id`].
    pub fn id(&self) -> Id {
        self.0.id()
    }

    /// [`tokio::runtime::Handle::metrics`].
    pub fn metrics(&self) -> RuntimeMetrics {
        self.0.metrics()
    }

    /// [`tokio::runtime::Handle::name`].
    pub fn name(&self) -> Option<&str> {
        self.0.name()
    }

    /// [`tokio::runtime::Handle::runtime_flavor`].
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        self.0.runtime_flavor()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Deref for Handle {
    type Target = tokio::runtime::Handle;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<tokio::runtime::Handle> for Handle {
    fn from(inner: tokio::runtime::Handle) -> Self {
        Handle(inner)
    }
}

impl From<Handle> for tokio::runtime::Handle {
    fn from(outer: Handle) -> Self {
        outer.0
    }
}
