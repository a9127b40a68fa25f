//! The operating system's side: loaded modules, threads, stack bounds, signals, timers, memory.

pub(crate) mod bell;
pub(crate) mod cpu_timer;
pub(crate) mod exit;
#[cfg(all(feature = "interpose", target_os = "linux"))]
pub(crate) mod futex;
pub(crate) mod inner_allocator;
pub(crate) mod modules;
#[cfg(feature = "decode")]
pub(crate) mod monotonic;
#[cfg(feature = "rt")]
pub(crate) mod near_memory;
pub(crate) mod own_memory;
pub(crate) mod own_thread;
pub(crate) mod process_status;
#[cfg(all(
    feature = "interpose",
    target_os = "linux",
    not(target_feature = "crt-static")
))]
pub(crate) mod pthread;
pub(crate) mod reserved;
pub(crate) mod signal;
pub(crate) mod status_file;
pub(crate) mod thread;
pub(crate) mod thread_status;
