//! How long each task was ready and not polled.

use crate::demand::{Demand, Lease};
use crate::source;

/// Sums up how long each task was ready and nobody polled it, into [`TaskFacts::scheduled`](super::TaskFacts::scheduled), from
/// now on until the returned value, and all others of it, are dropped. Mirrors the scheduled time of `console-subscriber`.
///
/// While somebody sums, each poll, and each wake from inside another task's poll, reads the clock once more (9 to 25 ns);
/// while nobody does, it costs nothing. With `RUNTIME_PROBE=off` there is nothing to sum up.
///
/// ```
/// use runtime_probe::pprof;
/// use std::time::Duration;
///
/// # #[cfg(feature = "rt")]
/// runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
///     let _sum = pprof::sum_delays();
///     let task = runtime_probe::spawn(std::future::pending::<()>());
///     // It is ready, and the thread is busy.
///     std::thread::sleep(Duration::from_millis(20));
///     runtime_probe::task::yield_now().await;
///     let of_it = |facts: &pprof::TaskFacts| facts.id.to_string() == task.id().to_string();
///     let facts = pprof::tasks().into_iter().find(of_it).unwrap();
///     assert!(facts.scheduled >= Duration::from_millis(10));
/// });
/// ```
pub fn sum_delays() -> DelaySum {
    DelaySum {
        _lease: source::start().then(|| Lease::of_all(Demand::ReadyTimes)),
    }
}

/// Delays are summed up until this is dropped.
#[derive(Debug)]
#[must_use = "nothing is summed up after this is dropped"]
pub struct DelaySum {
    _lease: Option<Lease>,
}
