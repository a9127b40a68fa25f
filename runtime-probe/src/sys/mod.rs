//! What the operating system tells: loaded modules, threads, stack bounds, the state of a socket.

#[cfg(all(feature = "interpose", target_os = "linux"))]
pub(crate) mod futex;
pub(crate) mod modules;
pub(crate) mod socket;
pub(crate) mod thread;
