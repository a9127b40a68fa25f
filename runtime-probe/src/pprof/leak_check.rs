//! Makes a test fail if it leaves tasks behind, as uber-go/goleak does.

use crate::profile::diagnosis::OFF;
use crate::profile::left::{Left, alive, count_left, dump_left};
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::task::Kind;
use crate::source::{self, driving};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long tasks may take to end, in real time.
const GRACE: Duration = Duration::from_secs(1);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Fails a test that leaves tasks behind: [`LeakCheck::verify`] panics with their dump. Mirrors `goleak.VerifyNone`.
///
/// ```
/// # #[allow(unused_imports)] use runtime_probe as tokio;
/// use tokio::pprof;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // The first line of a `#[tokio::test]`.
/// let leaks = pprof::leak_check().ignore("src/pool.rs");
/// tokio::spawn(async {}).await.unwrap();
/// // The last one.
/// leaks.verify().await;
/// # });
/// ```
///
/// The check finds tasks, local tasks and blocking closures of the runtime that it was begun on (outside of a runtime:
/// of all runtimes) that were spawned since and have not ended one second after `verify` was called. That second is
/// real time: a paused clock (`start_paused`) is not advanced. A task that no dump lists is not found. With the probe
/// off (`RUNTIME_PROBE=0`) nothing is checked, and a line on standard error says so.
///
/// A dropped check verifies as well, but it cannot let other tasks run. So on a runtime with one thread, a task that
/// was aborted just before is still found.
///
/// The cost is a walk over all tasks at the begin, and one for each look at the end.
pub fn leak_check() -> LeakCheck {
    source::start();
    if !source::is_on() {
        eprintln!("runtime-probe: leak_check checks nothing: {OFF}");
    }
    LeakCheck {
        before: alive(),
        runtime: driving::current(),
        ignored: Vec::new(),
        is_open: source::is_on(),
    }
}

/// A check under way, see [`leak_check`].
#[derive(Debug)]
#[must_use = "a check that is dropped at once sees nothing"]
pub struct LeakCheck {
    before: HashSet<u64>,
    /// The default number outside of any runtime.
    runtime: RuntimeNumber,
    ignored: Vec<String>,
    /// Whether the check is not verified yet.
    is_open: bool,
}

impl LeakCheck {
    /// Leaves out tasks whose spawn location (`"src/pool.rs:12:5"`) or type of future (`"app::pool::refill::{{closure}}"`)
    /// contains `pattern`.
    pub fn ignore(mut self, pattern: impl Into<String>) -> Self {
        self.ignored.push(pattern.into());
        self
    }

    /// Waits up to a second for the tasks to end, and lets other tasks run meanwhile.
    ///
    /// # Panics
    /// If tasks are left after that, with their dump.
    pub async fn verify(mut self) {
        let began = Instant::now();
        while self.has_to_wait(began) {
            // No sleep of the runtime: a paused clock would advance while the runtime is idle.
            driving::let_others_run().await;
            std::thread::sleep(PAUSE);
        }
        self.close();
    }

    /// Whether tasks are left that may still end in time.
    fn has_to_wait(&self, began: Instant) -> bool {
        self.is_open && self.count() > 0 && began.elapsed() < GRACE
    }

    fn count(&self) -> usize {
        count_left(|task| self.is_left(task))
    }

    fn is_left(&self, task: Left<'_>) -> bool {
        let is_ignored = |pattern: &String| {
            task.type_name.contains(&**pattern)
                || task
                    .spawned_at
                    .is_some_and(|at| at.to_string().contains(&**pattern))
        };
        let is_spawned = !matches!(task.kind, Kind::BlockOn | Kind::Nested);
        let nowhere = RuntimeNumber::default();
        // The runtime of a task that was never polled is not known.
        let is_here =
            [task.runtime, self.runtime].contains(&nowhere) || task.runtime == self.runtime;
        is_spawned
            && is_here
            && !self.before.contains(&task.id)
            && !self.ignored.iter().any(is_ignored)
    }

    fn close(&mut self) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let dump = match self.count() {
            0 => return,
            _ => dump_left(|task| self.is_left(task)),
        };
        panic!("tasks are left behind:\n\n{dump}");
    }
}

impl Drop for LeakCheck {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let began = Instant::now();
        while self.has_to_wait(began) {
            std::thread::sleep(PAUSE);
        }
        self.close();
    }
}
