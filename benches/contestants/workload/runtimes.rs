//! The two runtimes, and how a workload runs on one: in a spawned task, once to warm up, then for the measurement.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Workers of the multi-thread runtime.
const WORKERS: usize = 2;

/// A current-thread runtime with its I/O and time drivers, as `#[tokio::main(flavor = "current_thread")]` makes it.
pub fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a current-thread runtime")
}

/// A multi-thread runtime of two workers.
pub fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .expect("a multi-thread runtime")
}

/// Runs `workload(warm_up)`, then `workload(ops)`, each as a task of its own, and returns the second one's time.
///
/// The task measures its own time, without its preparations.
pub fn timed<W, F>(runtime: &Runtime, warm_up: u64, ops: u64, workload: W) -> Duration
where
    W: Fn(u64) -> F,
    F: Future<Output = Duration> + Send + 'static,
{
    let run = |count| {
        runtime.block_on(async {
            tokio::spawn(workload(count))
                .await
                .expect("the workload panicked")
        })
    };
    run(warm_up);
    run(ops)
}
