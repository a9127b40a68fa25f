//! Lengths of the polls of one task, and of its ready times.

use crate::demand::{Demand, Lease};
use crate::snapshot::facts::TaskId;
use crate::snapshot::polls::{Unwatchable, Watched};
use crate::tally::poll_times;
use std::io;
use std::time::Duration;

/// Counts the polls of a task by their length and by the ready time before them, until the returned value is dropped.
/// `id` is tokio's id, or that of [`TaskFacts`](super::TaskFacts). Mirrors the histograms of `console-subscriber`, for
/// one task instead of all.
///
/// Costs 70 KB for each watched task. While any task is watched, each poll of any task, and each wake from inside
/// another task's poll, reads the clock once more (9 to 25 ns).
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
/// let watch = pprof::watch_polls(task.id()).unwrap();
/// for _ in 0..10 {
///     runtime_probe::task::yield_now().await;
/// }
/// let times = watch.read().expect("a task that goes on");
/// let polls = times.polls.counts.iter().map(|(_, count)| count);
/// assert!(polls.sum::<u64>() >= 9);
/// # });
/// ```
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if there is no such task, [`io::ErrorKind::Unsupported`] for a closure of the blocking
/// pool and for a task that a dependency spawned through plain tokio, [`io::ErrorKind::QuotaExceeded`] while 16 tasks
/// are watched.
pub fn watch_polls(id: impl Into<TaskId>) -> io::Result<PollWatch> {
    let watched = Watched::begin(id.into().as_u64()).map_err(|why| {
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
    })?;
    Ok(PollWatch {
        watched,
        _lease: Lease::of_all(Demand::PollTimes),
    })
}

/// A task whose polls are counted.
#[must_use = "nothing is counted after this is dropped"]
pub struct PollWatch {
    watched: Watched,
    _lease: Lease,
}

impl std::fmt::Debug for PollWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollWatch").finish_non_exhaustive()
    }
}

impl PollWatch {
    /// The counts since the watch began, without a poll that is under way. `None` once the task has ended.
    pub fn read(&self) -> Option<PollTimes> {
        let times = self.watched.read()?;
        Some(PollTimes {
            polls: times.polls.into(),
            delays: times.delays.into(),
        })
    }
}

/// The counts of a task, see [`watch_polls`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PollTimes {
    /// Polls by length.
    pub polls: Distribution,
    /// Polls by the ready time before: from the wake, or the spawn, to the poll.
    pub delays: Distribution,
}

/// Counts by length.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Distribution {
    /// (length to within 1 %, count); the shortest first.
    pub counts: Vec<(Duration, u64)>,
    /// The greatest length.
    pub longest: Duration,
}

impl From<poll_times::Distribution> for Distribution {
    fn from(seen: poll_times::Distribution) -> Self {
        let of = |(ns, count)| (Duration::from_nanos(ns), count);
        Distribution {
            counts: seen.counts.into_iter().map(of).collect(),
            longest: Duration::from_nanos(seen.longest_ns),
        }
    }
}
