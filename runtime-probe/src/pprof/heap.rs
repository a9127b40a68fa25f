//! The profile of the heap: the allocator that samples, and its rate.

use crate::source;
use crate::source::heap;

pub use crate::source::heap::Allocator;

/// Samples an allocation for each `bytes` bytes allocated from now on, on average: 1 takes every allocation, 0 none. Returns
/// what was set before; a negative `bytes` changes nothing and only reads. Mirrors Go's `runtime.MemProfileRate`, whose default
/// of 512 KiB it has. `RUNTIME_PROBE_MEM_RATE` sets it at the start. Any thread may call it at any time; the others follow
/// within 16 KiB that they allocate. Profiles have no bias from a change of the rate.
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
