//! Symbolized stacks: the functions behind a return address, and the relation between the stacks of one task.

use std::sync::Arc;

/// One function at one source line: a physical frame, or a function inlined into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The readable name (`app::db::get_conn`), without a hash and without parentheses.
    pub function: Arc<str>,
    /// Path of the source file; empty where the binary has no line table.
    pub file: Arc<str>,
    /// 1-based; 0 where unknown.
    pub line: u32,
}

/// One code address and its functions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The return address; the call is at `return_address - 1`. Never 0. Synthetic locations lie at or above
    /// [`SYNTHETIC_BASE`]; they are stable within a process and distinct.
    pub return_address: u64,
    /// `return_address - 1` minus the entry of the physical function; `None` where unknown or synthetic.
    pub function_offset: Option<u64>,
    /// Inlined functions innermost first, the physical function last. Empty where no symbol is known.
    pub frames: Vec<Frame>,
    /// Whether the location is scaffolding (a runtime's or the standard library's). Scaffolding stays in the address
    /// list of every format. The texts leave out its frames.
    pub hidden: bool,
}

/// The lowest synthetic address. Synthetic addresses are in the kernel's half of the address space, so none is code.
pub const SYNTHETIC_BASE: u64 = 0xffff_8000_0000_0000;

/// The relation of one stack of a task to its other stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BranchKind {
    /// The task waits in this stack, too: a branch of `select!`, `join!`, `timeout`.
    Waiting,
    /// The waker was registered in the same poll. Whether the task still waits there is unknown.
    AlsoRegistered,
}

/// The part of one leaf's stack that it does not share with the task's other leaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    /// The relation to the task's other stacks.
    pub kind: BranchKind,
    /// The locations, leaf first, down to the last one above the trunk.
    pub locations: Vec<Arc<Location>>,
}

/// The stack of one task: a trunk that all its leaves share, and a branch for each leaf where there are several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stack {
    /// The branches. Empty with one leaf: the trunk is the whole stack. Otherwise two or more, or one `AlsoRegistered`
    /// beside others.
    pub branches: Vec<Branch>,
    /// The shared part, leaf first, the task's root last.
    pub trunk: Vec<Arc<Location>>,
    /// The gap of a stack deeper than the bound: the index in the trunk of the first location after the gap, and the
    /// number of missing frames.
    pub elided: Option<(usize, u32)>,
    /// The reason for a missing stack ("foreign task: ..."). Only a stack with a reason may be empty.
    pub missing: Option<Arc<str>>,
}

impl Stack {
    /// The name of a branch in the texts, by its index: `select.branch_1_of_2`, or `also_registered.branch_1_of_2`.
    pub(crate) fn branch_name(&self, index: usize) -> String {
        let kind = match self.branches.get(index).map(|branch| branch.kind) {
            Some(BranchKind::AlsoRegistered) => "also_registered",
            Some(BranchKind::Waiting) | None => "select",
        };
        format!("{kind}.branch_{}_of_{}", index + 1, self.branches.len())
    }
}

/// A source position that spawned tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// The function that called spawn; `None` where unknown.
    pub function: Option<Arc<str>>,
    /// Path of the source file.
    pub file: Arc<str>,
    /// 1-based.
    pub line: u32,
    /// 1-based.
    pub column: u32,
    /// Offset of the spawning call from the entry of its function; `None` where unknown.
    pub function_offset: Option<u64>,
}

/// One executable mapping of the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The first address after the mapping.
    pub limit: u64,
    /// The offset of `start` in the file.
    pub offset: u64,
    /// The path of the file.
    pub file: String,
    /// The GNU build id in lower-case hex; empty where there is none.
    pub build_id: String,
}
