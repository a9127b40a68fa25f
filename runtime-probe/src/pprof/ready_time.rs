//! The total ready time of each task.

use crate::demand::{Demand, Lease};
use crate::source;

/// Tracks the ready time of each task (woken and not polled yet) in [`TaskFacts::ready`](super::TaskFacts::ready),
/// until all returned values are dropped. Mirrors the scheduled time of `console-subscriber`.
///
/// While it is on, each poll, and each wake from inside another task's poll, reads the clock once more (9 to 25 ns).
/// With `RUNTIME_PROBE=off` nothing is tracked.
///
/// ```
/// use runtime_probe::pprof;
/// use std::time::Duration;
///
/// # #[cfg(feature = "rt")]
/// runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
///     let _tracking = pprof::track_ready_time();
///     let task = runtime_probe::spawn(std::future::pending::<()>());
///     // It is ready, and the thread is busy.
///     std::thread::sleep(Duration::from_millis(20));
///     runtime_probe::task::yield_now().await;
///     let of_it = |facts: &pprof::TaskFacts| facts.id == task.id();
///     let facts = pprof::task_facts().into_iter().find(of_it).unwrap();
///     assert!(facts.ready >= Duration::from_millis(10));
/// });
/// ```
pub fn track_ready_time() -> ReadyTimeTracking {
    ReadyTimeTracking {
        _lease: source::start().then(|| Lease::of_all(Demand::ReadyTimes)),
    }
}

/// Ready times are tracked until this is dropped.
#[derive(Debug)]
#[must_use = "nothing is tracked after this is dropped"]
pub struct ReadyTimeTracking {
    _lease: Option<Lease>,
}
