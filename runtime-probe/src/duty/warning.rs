//! The text of a watchdog's warning: one sentence, and the stacks.

use crate::profile::alarms::{Alarm, Told};
use crate::profile::conditions::{self, Condition};
use crate::profile::goroutine::Goroutines;
use crate::profile::goroutine_forms::Lines;
use crate::profile::idle;
use crate::profile::lock_table::LockTable;
use crate::profile::selection::{Selection, grouped};
use crate::profile::sites::SpawnSites;
use crate::tally::growths::Growing;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

/// The sentence.
pub(super) fn headline(told: Told, limit: Duration) -> String {
    let mut headline = match told.alarm {
        Alarm::Deadlock(member) => still(|now| matches!(now, Condition::Deadlock { deadlock, .. } if deadlock.first() == member))
            .unwrap_or_else(|| "a deadlock, which has ended since: a task of it was dropped".to_owned()),
        Alarm::Futurelock(task) => still(|now| matches!(now, Condition::Futurelock { futurelock, .. } if futurelock.task == task))
            .unwrap_or_else(|| format!("goroutine {task} kept a lock that it did not take; it has let go since")),
        Alarm::LongPoll(poll) => format!(
            "a poll of goroutine {} has lasted {:.1?} (limit {limit:?}): it keeps its worker from all other tasks",
            poll.id, poll.lasts
        ),
        Alarm::KeptWaiting(task) => format!(
            "goroutine {} has been ready for {:.1?} (limit {limit:?}){}",
            task.id,
            task.since,
            match idle::now(task.local_set, task.runtime) {
                Some(why) => format!(": {why}"),
                None => " and its runtime does not come round to it".to_owned(),
            }
        ),
        Alarm::Growth(growth) => growth.text(),
        Alarm::LongWait(wait) => format!(
            "goroutine {} has waited for {:.1?} ({}), {}",
            wait.id,
            wait.since,
            wait.reason.text(),
            match wait.tasks {
                1 => "the only task that waits there".to_owned(),
                several => format!("one of {} tasks that wait there", grouped(several)),
            }
        ),
        Alarm::Spin(spin) => format!(
            "goroutine {} spins: {} polls/s for {:.1?}, and it was never found waiting",
            spin.id,
            grouped(spin.rate),
            spin.since
        ),
        Alarm::FullPool(pool) => still(|now| matches!(now, Condition::FullPool(full) if full.runtime.number == pool.runtime))
            .unwrap_or_else(|| {
                format!(
                    "a closure has waited for {:.1?} for a thread of its blocking pool (limit {limit:?})",
                    pool.since
                )
            }),
        Alarm::Standstill(runtime) => {
            still(|now| matches!(now, Condition::Standstill { runtime: (number, _), .. } if *number == runtime.runtime))
                .unwrap_or_else(|| {
                    format!(
                        "timers and I/O of a runtime stood still for {:.1?} (limit {limit:?})",
                        runtime.since
                    )
                })
        }
    };
    if told.untold > 0 {
        let _ = write!(headline, "; {} such were not told before", told.untold);
    }
    headline
}

/// The text of the meant condition, if it still holds.
fn still(is_meant: impl Fn(&Condition) -> bool) -> Option<String> {
    let mut conditions = conditions::now().into_iter();
    conditions.find(is_meant).map(|condition| condition.text())
}

/// The stacks of the tasks that the warning is about.
pub(super) fn stacks(alarm: Alarm, limit: Duration) -> String {
    /// The most stacks in a warning.
    const MOST: usize = 8;
    let of = |states: &str, limit: Option<Duration>, first: Option<u64>| {
        let mut selection = Selection::default();
        selection.without_closures = true;
        selection.first = first;
        let known = selection.in_states(states);
        debug_assert!(known.is_ok());
        if let Some(limit) = limit {
            let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            selection.waiting_for(limit_ns, &format!("{limit:?}"));
        }
        selection.limit = Some(MOST);
        selection
    };
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = match alarm {
        Alarm::LongPoll(poll) => Goroutines::collect(of("running", Some(limit), Some(poll.id)))
            .write_text(&mut text, Lines::All),
        Alarm::Deadlock(_) | Alarm::Futurelock(_) => LockTable::collect().write(&mut text),
        Alarm::LongWait(wait) => {
            let mut waiting = of("waiting", Some(wait.since / 2), Some(wait.id));
            waiting.limit = Some(1);
            Goroutines::collect(waiting).write_groups(&mut text)
        }
        Alarm::Spin(spin) => Goroutines::collect(of("running,runnable", None, Some(spin.id)))
            .write_text(&mut text, Lines::All),
        Alarm::KeptWaiting(_) => {
            let late = Goroutines::collect(of("runnable", Some(limit), None));
            let busy = Goroutines::collect(of("running", None, None));
            late.write_groups(&mut text)
                .and_then(|()| writeln!(text))
                .and_then(|()| busy.write_text(&mut text, Lines::All))
        }
        Alarm::Standstill(_) => {
            Goroutines::collect(of("running", Some(limit), None)).write_text(&mut text, Lines::All)
        }
        Alarm::FullPool(_) => {
            let mut closures = Selection::default();
            let known = closures.in_states("blocking");
            debug_assert!(known.is_ok());
            closures.limit = Some(MOST);
            Goroutines::collect(closures).write_largest_groups(&mut text)
        }
        Alarm::Growth(growth) if growth.what == Growing::Results => {
            SpawnSites::collect().of(growth.at).write_text(&mut text)
        }
        Alarm::Growth(growth) => {
            let mut selection = Selection::default();
            selection.limit = Some(1);
            if let Some(at) = growth.at {
                // A path may be longer than a pattern.
                let _ = selection.matching(&regex_lite::escape(&at.to_string()));
            }
            Goroutines::collect(selection).write_largest_groups(&mut text)
        }
    };
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(feature = "tracing")]
pub(super) fn warn(message: &str) {
    tracing::warn!(target: "runtime_probe::watchdog", "{message}");
}

#[cfg(not(feature = "tracing"))]
pub(super) fn warn(message: &str) {
    // Standard error may be closed; eprintln would panic then.
    let _ = writeln!(std::io::stderr(), "runtime-probe: {message}");
}
