//! The heap profile: the sampling allocator, and its rate.

use crate::source;
use crate::source::heap;

pub use crate::source::heap::Allocator;

/// Sets the sampling rate of the heap profile: on average one allocation is sampled for each `bytes` bytes; 1 samples
/// every allocation, 0 none. Returns the previous rate; a negative `bytes` only reads it. Mirrors Go's
/// `runtime.MemProfileRate`, with the same default of 512 KiB. `RUNTIME_PROBE_MEM_RATE` sets it at the start. Any
/// thread may call it at any time; the other threads use the new rate after at most 16 KiB of their allocations. A
/// change of the rate does not bias a profile.
///
/// Has no effect without the global allocator [`Allocator`]. With `RUNTIME_PROBE=off` nothing is sampled.
///
/// ```
/// use runtime_probe::pprof;
///
/// let before = pprof::set_mem_profile_rate(64 << 10);
/// assert_eq!(pprof::set_mem_profile_rate(-1), 64 << 10);
/// pprof::set_mem_profile_rate(before);
/// ```
pub fn set_mem_profile_rate(bytes: i64) -> i64 {
    source::start();
    let before = match u64::try_from(bytes) {
        Ok(bytes) => heap::set_rate(bytes),
        Err(_) => heap::rate(),
    };
    i64::try_from(before).unwrap_or(i64::MAX)
}
