//! [`tokio::runtime::LocalRuntime`], instrumented.

use super::{Handle, root};
use crate::registry::endings::{self, Begins, Ends};
use crate::source::driving::{self, Driving};
use crate::source::metrics::Measured;
use crate::task::spawning::{spawn, spawn_blocking};
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::time::Duration;
use tokio::runtime::{EnterGuard, RuntimeMetrics};
use tokio::task::JoinHandle;

/// [`tokio::runtime::LocalRuntime`] whose tasks are instrumented. Derefs to tokio's and converts from and into it.
pub struct LocalRuntime {
    // Dropped before the runtime, so it is unlisted while its end is awaited.
    measured: Measured,
    begins: Begins,
    inner: tokio::runtime::LocalRuntime,
    ends: Ends,
    handle: Handle,
}

impl LocalRuntime {
    /// [`tokio::runtime::LocalRuntime::new`].
    ///
    /// # Errors
    /// As tokio's: the I/O driver cannot be made.
    pub fn new() -> io::Result<LocalRuntime> {
        super::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())
    }

    /// [`tokio::runtime::LocalRuntime::handle`].
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// [`tokio::runtime::LocalRuntime::spawn_local`], instrumented.
    #[inline(always)]
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn!(Local, future, |future| self.inner.spawn_local(future))
    }

    /// [`tokio::runtime::LocalRuntime::spawn_blocking`], instrumented.
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

    /// [`tokio::runtime::LocalRuntime::block_on`]; the future is a task of its own in a dump.
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

    /// [`tokio::runtime::LocalRuntime::enter`].
    pub fn enter(&self) -> EnterGuard<'_> {
        self.inner.enter()
    }

    /// [`tokio::runtime::LocalRuntime::metrics`].
    pub fn metrics(&self) -> RuntimeMetrics {
        self.inner.metrics()
    }

    /// [`tokio::runtime::LocalRuntime::shutdown_timeout`].
    pub fn shutdown_timeout(self, duration: Duration) {
        self.end(|inner| inner.shutdown_timeout(duration));
    }

    /// [`tokio::runtime::LocalRuntime::shutdown_background`].
    pub fn shutdown_background(self) {
        self.end(|inner| inner.shutdown_background());
    }

    fn end(self, end: impl FnOnce(tokio::runtime::LocalRuntime)) {
        drop(self.measured);
        drop(self.begins);
        end(self.inner);
        drop(self.ends);
    }
}

impl std::fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Deref for LocalRuntime {
    type Target = tokio::runtime::LocalRuntime;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl From<tokio::runtime::LocalRuntime> for LocalRuntime {
    fn from(inner: tokio::runtime::LocalRuntime) -> Self {
        let measured = Measured::local(inner.handle());
        let (begins, ends) = endings::around(driving::of(inner.handle()));
        let handle = inner.handle().clone().into();
        LocalRuntime {
            measured,
            begins,
            inner,
            ends,
            handle,
        }
    }
}

impl From<LocalRuntime> for tokio::runtime::LocalRuntime {
    fn from(outer: LocalRuntime) -> Self {
        outer.inner
    }
}
