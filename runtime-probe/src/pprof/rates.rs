//! How much is sampled of waits, releases and times.

use crate::demand::Demand;
use crate::source;

/// Samples the waits of tasks for each other from now on: on average one for each `ns` nanoseconds waited, so a wait of
/// that length or longer always; 1 takes every wait, 0 or less none. Mirrors Go's `runtime.SetBlockProfileRate`. Any
/// thread may call it at any time. `RUNTIME_PROBE_BLOCK_RATE` sets it at the start. With `RUNTIME_PROBE=off` it stays 0.
///
/// What is counted is the time from the end of the poll in which a task registered for something to the moment at which
/// it was made ready, without its time in the run queue, at the stack with which it waits. Waits that began while the
/// rate was 0 are left out, as in Go.
///
/// While it is on, a wake from inside another task's poll reads the clock once more (10 to 30 ns).
///
/// ```
/// use runtime_probe::pprof;
///
/// pprof::set_block_profile_rate(10_000);
/// assert_eq!(pprof::block_profile_rate(), 10_000);
/// pprof::set_block_profile_rate(0);
/// ```
pub fn set_block_profile_rate(ns: i64) {
    set_rate(Demand::Waits, ns);
}

/// Returns what was set before. A rate may be all that a program has asked of this crate: then nothing else has started
/// the probe. Where it is off it stays off.
fn set_rate(demand: Demand, rate: i64) -> i64 {
    match source::start() {
        true => demand.set(rate),
        false => 0,
    }
}

/// The rate in force, in nanoseconds; 0 is off. It may be finer than what [`set_block_profile_rate`] was told, while
/// a client watches with `block?seconds=10&rate=1000`.
pub fn block_profile_rate() -> i64 {
    Demand::Waits.rate()
}

/// Samples the releases of locks that others waited for from now on: on average one in `n`, 1 takes every one, 0 none.
/// Returns what was set before; a negative `n` changes nothing and only reads. Mirrors Go's
/// `runtime.SetMutexProfileFraction`. Any thread may call it at any time. `RUNTIME_PROBE_MUTEX_FRACTION` sets it at the
/// start. With `RUNTIME_PROBE=off` it stays 0.
///
/// A release of a [`sync::Mutex`](crate::sync::Mutex) or [`sync::RwLock`](crate::sync::RwLock), or of one that blocks its
/// thread ([`sync::blocking`](crate::sync::blocking)), is charged, at the stack that drops the guard, with what its waiters have waited since the last release, all together: a lock that is held for a
/// second with five waiters is one contention of five seconds. The time of a waiter that gave up goes to the next release.
/// Waits that began while the fraction was 0 are left out, and so is the time in the run queue.
///
/// A client that watches with `mutex?seconds=10&fraction=1` may have it finer for that time; that is not in what this
/// returns.
///
/// ```
/// use runtime_probe::pprof;
///
/// assert_eq!(pprof::set_mutex_profile_fraction(100), 0);
/// assert_eq!(pprof::set_mutex_profile_fraction(-1), 100);
/// assert_eq!(pprof::set_mutex_profile_fraction(0), 100);
/// ```
pub fn set_mutex_profile_fraction(n: i32) -> i32 {
    let before = match n {
        ..0 => Demand::Releases.for_good(),
        n => set_rate(Demand::Releases, n.into()),
    };
    i32::try_from(before).unwrap_or(i32::MAX)
}

/// Notes from now on, by spawn location, how long polls, waits, and the delays between a wake and its poll are, for
/// `/debug/pprof/tasks`; or does not any more. Returns what was set before. Any thread may call it at any time.
/// `RUNTIME_PROBE_TASK_HISTOGRAMS=1` sets it at the start. With `RUNTIME_PROBE=off` it stays off.
///
/// Off it costs nothing. On, each poll adds to up to three counters, each poll and each wake from inside another task's poll reads
/// the clock once more (9 to 25 ns), and there is memory: 16 KB for each place that spawns and each group of threads that polls
/// what was spawned there, of which there are eight; 34 MB at the most. A length is known to within 3 %.
///
/// A client that watches with `tasks?seconds=10` has it on for that time; that is not in what this returns.
///
/// ```
/// use runtime_probe::pprof;
///
/// assert!(!pprof::set_task_histograms(true));
/// assert!(pprof::set_task_histograms(false));
/// ```
pub fn set_task_histograms(on: bool) -> bool {
    match source::start() {
        true => Demand::TaskTimes.set(on.into()) != 0,
        false => false,
    }
}
