//! Where memory, mappings, threads and registers come from: a live process or a core file.
//!
//! * [`live`]: a process of this machine: `/proc`, `process_vm_readv`, `ptrace`;
//! * [`snapshot`]: pages of it, copied while it was stopped;
//! * [`mapped`]: a file, mapped into memory;
//! * [`sys`]: the calls of the system, and all of `unsafe`.

pub(crate) mod live;
pub(crate) mod mapped;
pub(crate) mod snapshot;
mod sys;

/// What of a thread's registers matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    /// Where its thread-local variables are.
    pub(crate) fs_base: u64,
}

/// A thread.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) tid: u32,
    /// `None` where it could not be stopped.
    pub(crate) registers: Option<Registers>,
}
