//! How long the polls of one task take.

use crate::snapshot::polls::{Unwatchable, Watched};
use std::io;
use std::time::Duration;

/// Counts the polls of a task by their length from now on, until the returned value is dropped. An `id` is that of
/// [`TaskFacts`](super::TaskFacts). Mirrors the histogram of `console-subscriber`, for one task instead of all.
///
/// Costs 35 KB for each task that is watched. While any is, a poll of any task costs some ten nanoseconds more; while none
/// is, nothing.
///
/// ```
/// use runtime_probe::pprof;
///
/// # #[cfg(feature = "rt")]
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let task = runtime_probe::spawn(async {
///     loop {
///         runtime_probe::task::yield_now().await;
///     }
/// });
/// let watch = pprof::watch_polls(task.id().to_string().parse().unwrap()).unwrap();
/// for _ in 0..10 {
///     runtime_probe::task::yield_now().await;
/// }
/// let times = watch.read().expect("a task that goes on");
/// assert!(times.counts.iter().map(|(_, count)| count).sum::<u64>() >= 9);
/// # });
/// ```
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if there is no such task, [`io::ErrorKind::Unsupported`] for a closure of the blocking pool and
/// for a task that a dependency spawned by plain tokio, [`io::ErrorKind::QuotaExceeded`] while 16 tasks are watched.
pub fn watch_polls(id: u64) -> io::Result<PollWatch> {
    Watched::begin(id).map(PollWatch).map_err(|why| {
        let (kind, reason) = match why {
            Unwatchable::NoSuchTask => (
                io::ErrorKind::NotFound,
                "there is no task of that id, or not any more",
            ),
            Unwatchable::NotPolledByUs => (
                io::ErrorKind::Unsupported,
                "the polls of closures, and of tasks that a dependency spawned, cannot be watched",
            ),
            Unwatchable::TooMany => (
                io::ErrorKind::QuotaExceeded,
                "16 tasks are watched already, and no more can be",
            ),
        };
        io::Error::new(kind, reason)
    })
}

/// A task whose polls are counted.
#[must_use = "nothing is counted after this is dropped"]
pub struct PollWatch(Watched);

impl std::fmt::Debug for PollWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollWatch").finish_non_exhaustive()
    }
}

impl PollWatch {
    /// The polls since the watch began, without one that lasts. `None` once the task has ended.
    pub fn read(&self) -> Option<PollTimes> {
        let times = self.0.read()?;
        let of = |(ns, count)| (Duration::from_nanos(ns), count);
        Some(PollTimes {
            counts: times.counts.into_iter().map(of).collect(),
            longest: Duration::from_nanos(times.longest_ns),
        })
    }
}

/// Polls by their length.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PollTimes {
    /// A length, to within 1 %, and how many polls took so long; shortest first.
    pub counts: Vec<(Duration, u64)>,
    /// The longest one.
    pub longest: Duration,
}
