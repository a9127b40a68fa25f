//! A test fails where it leaves tasks behind, as with uber-go/goleak.

use crate::profile::diagnosis::OFF;
use crate::profile::left::{Left, alive, count_left, dump_left};
use crate::registry::runtimes::RuntimeNumber;
use crate::registry::task::Kind;
use crate::source::{self, driving};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How long tasks that were told to end may take, in real time.
const GRACE: Duration = Duration::from_secs(1);

/// How long a look waits for the next one.
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
/// Left behind are tasks, local ones and blocking closures of the runtime that the check was begun on, which were spawned since
/// and have not ended a second after. Outside of a runtime they are those of all runtimes. That second is real time: a clock that
/// is paused (`start_paused`) stays where it is. The probe's other limits hold: a task that no dump lists is not seen, and with
/// the probe off (`RUNTIME_PROBE=0`) nothing is checked, which standard error says.
///
/// A check that is dropped verifies as well, but cannot let other tasks run: on a runtime of one thread, a task that was aborted
/// a moment before is still there.
///
/// Costs a walk over all tasks when it begins, and one for each look at the end.
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
    /// The default outside of any.
    runtime: RuntimeNumber,
    ignored: Vec<String>,
    /// Not verified yet.
    is_open: bool,
}

impl LeakCheck {
    /// Leaves out tasks whose spawn location (`"src/pool.rs:12:5"`) or type of future (`"app::pool::refill::{{closure}}"`)
    /// contains `pattern`.
    pub fn ignore(mut self, pattern: impl Into<String>) -> Self {
        self.ignored.push(pattern.into());
        self
    }

    /// Lets tasks that were told to end do so.
    ///
    /// # Panics
    /// If some are left a second later, with their dump.
    pub async fn verify(mut self) {
        let began = Instant::now();
        while self.has_to_wait(began) {
            // The clock of the runtime may be paused, and would go on while the runtime has nothing to do.
            driving::let_others_run().await;
            std::thread::sleep(PAUSE);
        }
        self.close();
    }

    /// Some tasks are left, and may be about to end.
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
        // A task that was never polled is of no runtime that is known.
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
