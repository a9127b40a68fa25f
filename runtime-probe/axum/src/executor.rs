//! Tasks that hyper spawns, instrumented.

use std::future::Future;

/// Spawns through `runtime_probe::spawn` the tasks that hyper gives to an executor: the streams of an HTTP/2
/// connection, and the connections of a client. With `hyper_util::rt::TokioExecutor` these tasks have no stack.
/// Mirrors that type.
///
/// ```
/// use runtime_probe_axum::Executor;
///
/// fn spawns_by<E: hyper::rt::Executor<std::future::Ready<()>>>(_: E) {}
/// spawns_by(Executor::new());
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Executor;

impl Executor {
    /// An executor that spawns on the runtime it is used in.
    pub fn new() -> Executor {
        Executor
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// # Panics
    /// As `tokio::spawn`: outside of a runtime.
    // The spawn site that a dump shows is hyper's, not this line.
    #[inline(always)]
    #[track_caller]
    fn execute(&self, future: F) {
        drop(runtime_probe::spawn(future));
    }
}
