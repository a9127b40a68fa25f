//! The monotonic clock as numbers, in the form in which futures in memory hold it.

/// Now: seconds and nanoseconds.
#[cfg(unix)]
#[expect(unsafe_code, reason = "std's Instant does not tell its numbers")]
pub(crate) fn now() -> Option<(i64, u32)> {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is written by the call, and lives across it.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let nanos = u32::try_from(now.tv_nsec).ok()?;
    (failed == 0).then_some((now.tv_sec, nanos))
}

/// Not known elsewhere than on Unix.
#[cfg(not(unix))]
pub(crate) fn now() -> Option<(i64, u32)> {
    None
}
