//! What the operating system tells: loaded modules, threads, stack bounds.

pub(crate) mod modules;
pub(crate) mod thread;
