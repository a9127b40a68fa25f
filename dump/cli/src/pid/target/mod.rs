//! Where memory, mappings, threads and registers come from: a live process or a core file.
//!
//! * [`live`]: a process of this machine: `/proc`, `process_vm_readv`, `ptrace`;
//! * [`core`]: a core file;
//! * [`snapshot`]: pages of it, copied while it was stopped;
//! * [`sys`]: the calls of the system, and all of `unsafe`.

pub(crate) mod core;
pub(crate) mod live;
pub(crate) mod snapshot;
mod sys;

/// A part of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Of `start` in the file.
    pub(crate) offset: u64,
    pub(crate) executable: bool,
    /// Private, writable, of no file: heaps and stacks.
    pub(crate) is_data: bool,
    /// Empty where there is no file.
    pub(crate) path: String,
}

/// What of a thread's registers matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
    /// Where its thread-local variables are.
    pub(crate) fs_base: u64,
}

/// A thread.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) tid: u32,
    pub(crate) name: String,
    /// As the system tells it: running, sleeping.
    pub(crate) state: &'static str,
    /// What it has used of CPUs; `None` where the system does not tell.
    pub(crate) cpu_ns: Option<u64>,
    /// `None` where it could not be stopped.
    pub(crate) registers: Option<Registers>,
}
