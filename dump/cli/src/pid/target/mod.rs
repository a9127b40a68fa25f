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
    /// The name; empty where unknown.
    pub(crate) name: String,
    /// The reason why there is no name.
    pub(crate) no_name: Option<NoName>,
    /// The state by the kernel: running, sleeping.
    pub(crate) state: &'static str,
    /// The CPU time; `None` where unknown.
    pub(crate) cpu_ns: Option<u64>,
    /// The registers; `None` if the thread could not be stopped.
    pub(crate) registers: Option<Registers>,
}

/// The reason why a thread has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoName {
    /// The thread was spawned without one.
    Unnamed,
    /// The thread was not spawned by std, or it begins or ends.
    NotOfStd,
    /// The types of std's threads are not in the debug information.
    NoTypes,
    /// std's thread-local variables are not in the symbol table.
    NoVariable,
}

impl NoName {
    /// The reason as text.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Unnamed => "spawned without a name",
            Self::NotOfStd => "name not known: std does not know the thread",
            Self::NoTypes => "name not known without types, which debug = 2 in the profile adds",
            Self::NoVariable => {
                "name not known without the symbols of std (stripped, or Rust before 1.84)"
            }
        }
    }
}
