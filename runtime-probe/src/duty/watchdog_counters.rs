//! How often watchdogs found each kind of trouble.

use crate::tally::findings;

/// What all watchdogs have found since the process began, also without a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchdogCounters {
    /// Polls that lasted longer than the limit.
    pub long_polls: u64,
    /// Times that a runtime did not poll a ready task within the limit.
    pub late_runtimes: u64,
    /// Times that the number of tasks grew ten times in a row.
    pub growths: u64,
    /// Places where tasks waited longer than [`Watchdog::wait_limit`](super::watchdog::Watchdog::wait_limit).
    pub long_waits: u64,
    /// Tasks that spun.
    pub spins: u64,
    /// Blocking pools in which a closure waited for a thread longer than the limit.
    pub full_pools: u64,
    /// Times that the timers and the I/O of a runtime stood still for longer than the limit.
    pub standstills: u64,
    /// Cycles of tasks and threads that wait for locks of each other.
    pub deadlocks: u64,
    /// Tasks that own a lock through a future that they do not poll any more.
    pub futurelocks: u64,
}

/// Reads the counters.
///
/// ```
/// assert_eq!(runtime_probe::pprof::watchdog_counters().growths, 0);
/// ```
pub fn watchdog_counters() -> WatchdogCounters {
    let [
        long_polls,
        late_runtimes,
        growths,
        long_waits,
        spins,
        full_pools,
        standstills,
        deadlocks,
        futurelocks,
    ] = findings::totals();
    WatchdogCounters {
        long_polls,
        late_runtimes,
        growths,
        long_waits,
        spins,
        full_pools,
        standstills,
        deadlocks,
        futurelocks,
    }
}
