//! [`tokio::runtime::Runtime`], instrumented.

use super::{Handle, root};
use crate::registry::endings::{self, Begins, Ends};
use crate::source::driving::{self, Driving};
use crate::source::metrics::Measured;
use crate::task::spawning::{spawn, spawn_blocking};
use std::future::Future;
use std::ops::Deref;
use std::time::Duration;
use tokio::runtime::{EnterGuard, RuntimeMetrics};
use tokio::task::JoinHandle;

/// [`tokio::runtime::Runtime`] whose tasks are instrumented. Derefs to tokio's and converts from and into it.
pub struct Runtime {
    // Dropped before the runtime, so it is unlisted while its end is awaited.
    measured: Measured,
    begins: Begins,
    inner: tokio::runtime::Runtime,
    ends: Ends,
    handle: Handle,
}

impl Runtime {
    /// [`tokio::runtime::Runtime::new`].
    ///
    /// # Errors
    /// As tokio's: the I/O driver or a thread cannot be made.
    #[cfg(feature = "rt-multi-thread")]
    pub fn new() -> std::io::Result<Runtime> {
        super::Builder::new_multi_thread().enable_all().build()
    }

    /// [`tokio::runtime::Runtime::handle`].
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// [`tokio::runtime::Runtime::spawn`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn!(Task, future, |future| self.inner.spawn(future))
    }

    /// [`tokio::runtime::Runtime::spawn_blocking`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        spawn_blocking!(func, on & self.handle, |func| self
            .inner
            .spawn_blocking(func))
    }

    /// [`tokio::runtime::Runtime::block_on`]; the future is a task of its own in a dump.
    ///
    /// # Panics
    /// As tokio's: inside of a runtime.
    #[inline(always)]
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _inside = self.measured.inside();
        let _driving = Driving::begin(&self.handle);
        self.inner.block_on(root(future))
    }

    /// [`tokio::runtime::Runtime::enter`].
    pub fn enter(&self) -> EnterGuard<'_> {
        self.inner.enter()
    }

    /// [`tokio::runtime::Runtime::metrics`].
    pub fn metrics(&self) -> RuntimeMetrics {
        self.inner.metrics()
    }

    /// [`tokio::runtime::Runtime::shutdown_timeout`].
    pub fn shutdown_timeout(self, duration: Duration) {
        self.end(|inner| inner.shutdown_timeout(duration));
    }

    /// [`tokio::runtime::Runtime::shutdown_background`].
    pub fn shutdown_background(self) {
        self.end(|inner| inner.shutdown_background());
    }

    fn end(self, end: impl FnOnce(tokio::runtime::Runtime)) {
        drop(self.measured);
        drop(self.begins);
        end(self.inner);
        drop(self.ends);
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Deref for Runtime {
    type Target = tokio::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl From<tokio::runtime::Runtime> for Runtime {
    /// Tasks that dependencies spawn on such a runtime are not seen, because hooks can be set only when a runtime is
    /// built.
    fn from(inner: tokio::runtime::Runtime) -> Self {
        let measured = Measured::new(inner.handle());
        let (begins, ends) = endings::around(driving::of(inner.handle()));
        let handle = inner.handle().clone().into();
        Runtime {
            measured,
            begins,
            inner,
            ends,
            handle,
        }
    }
}

impl From<Runtime> for tokio::runtime::Runtime {
    fn from(outer: Runtime) -> Self {
        outer.inner
    }
}
