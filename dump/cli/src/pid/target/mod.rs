//! The source of memory, mappings, threads and registers: a living process or a core file.
//!
//! * [`live`]: a living process of this machine, read by `/proc`, `process_vm_readv` and `ptrace`;
//! * [`core`]: a core file;
//! * [`snapshot`]: copies of a process's pages, taken while it was stopped;
//! * [`sys`]: the system calls, with all `unsafe` code.

pub(crate) mod core;
pub(crate) mod live;
pub(crate) mod snapshot;
mod sys;

/// A part of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The offset of `start` in the file.
    pub(crate) offset: u64,
    pub(crate) executable: bool,
    /// Whether the mapping is private, writable and without a file, as heaps and stacks are.
    pub(crate) is_data: bool,
    /// The path of the file; empty where there is none.
    pub(crate) path: String,
}

/// The registers that unwinding needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
    /// The address of the thread's local variables.
    pub(crate) fs_base: u64,
}

/// A thread.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) tid: u32,
    pub(crate) name: String,
    /// The state by the kernel: running, sleeping.
    pub(crate) state: &'static str,
    /// The CPU time; `None` where unknown.
    pub(crate) cpu_ns: Option<u64>,
    /// The registers; `None` if the thread could not be stopped.
    pub(crate) registers: Option<Registers>,
}
