//! What the operating system tells: loaded modules, threads, stack bounds, the state of a socket.

pub(crate) mod modules;
pub(crate) mod socket;
pub(crate) mod thread;
