//! The sampling rates of waits, releases and times.

use crate::demand::Demand;
use crate::source;

/// Sets the rate of the block profile: on average one wait is sampled for each `ns` nanoseconds of waiting, so a wait
/// of at least that length is always sampled. 1 samples every wait, 0 or less none. Mirrors Go's
/// `runtime.SetBlockProfileRate`. Any thread may call it at any time. `RUNTIME_PROBE_BLOCK_RATE` sets it at the start.
/// With `RUNTIME_PROBE=off` it stays 0.
///
/// A wait lasts from the end of the poll in which the task registered until the wake, without the time in the run
/// queue. It is counted at the stack of the registration. Waits that began while the rate was 0 are left out, as in Go.
///
/// While the rate is not 0, a wake from inside another task's poll reads the clock once more (10 to 30 ns).
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

/// Sets a rate and returns the previous one. Starts the probe, because this may be the program's first call. With the
/// probe off, the rate stays 0.
fn set_rate(demand: Demand, rate: i64) -> i64 {
    match source::start() {
        true => demand.set(rate),
        false => 0,
    }
}

/// The rate in force, in nanoseconds; 0 is off. It may be finer than the rate of [`set_block_profile_rate`] while a
/// client uses `block?seconds=10&rate=1000`.
pub fn block_profile_rate() -> i64 {
    Demand::Waits.rate()
}

/// Sets the fraction of the mutex profile: on average one in `n` releases of locks with waiters is sampled; 1 samples
/// every one, 0 none. Returns the previous fraction; a negative `n` only reads it. Mirrors Go's
/// `runtime.SetMutexProfileFraction`. Any thread may call it at any time. `RUNTIME_PROBE_MUTEX_FRACTION` sets it at the
/// start. With `RUNTIME_PROBE=off` it stays 0.
///
/// Locks are [`sync::Mutex`](crate::sync::Mutex) and [`sync::RwLock`](crate::sync::RwLock), and those that block their
/// thread ([`sync::blocking`](crate::sync::blocking)). A release counts the time that all its waiters together have
/// waited since the previous release, at the stack that drops the guard: a lock that is held for a second with five
/// waiters is one contention of five seconds. The time of a cancelled waiter counts at the next release. Waits that
/// began while the fraction was 0 are left out, and so is the time in the run queue.
///
/// The fraction may be finer while a client uses `mutex?seconds=10&fraction=1`; the returned value does not include
/// that.
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

/// Switches the histograms of `/debug/pprof/tasks` on or off: the lengths of polls, of waits, and of ready times, by
/// spawn location. Returns the previous setting. Any thread may call it at any time. `RUNTIME_PROBE_TASK_HISTOGRAMS=1`
/// sets it at the start. With `RUNTIME_PROBE=off` it stays off.
///
/// Off, it costs nothing. On, each poll adds to up to three counters, and each poll and each wake from inside another
/// task's poll reads the clock once more (9 to 25 ns). The memory is 16 KB for each spawn location and each group of
/// threads that polls its tasks (there are eight groups), at most 34 MB. Lengths are exact to within 3 %.
///
/// `tasks?seconds=10` also switches them on for that time; the returned value does not include that.
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
