//! Symbolized stacks: what a return address stands for, and how the stacks of one task belong together.

use std::sync::Arc;

/// One function at one source line: a physical frame, or a function inlined into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// A readable name (`app::db::get_conn`): no hash, never a parenthesis.
    pub function: Arc<str>,
    /// Path of the source file; empty where the binary has no line table.
    pub file: Arc<str>,
    /// 1-based; 0 where unknown.
    pub line: u32,
}

/// What one code address stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The return address; the call is at `return_address - 1`. Never 0. Synthetic locations lie at or above
    /// [`SYNTHETIC_BASE`]; they are stable within a process and distinct.
    pub return_address: u64,
    /// `return_address - 1` minus the entry of the physical function; `None` where unknown or synthetic.
    pub function_offset: Option<u64>,
    /// Inlined functions innermost first, the physical function last. Empty: no symbol is known.
    pub frames: Vec<Frame>,
    /// Scaffolding (a runtime's or the standard library's): present in the address list of every format, its frames
    /// left out of the texts.
    pub hidden: bool,
}

/// Addresses from here up are not code: they name synthetic locations (the kernel's half of the address space).
pub const SYNTHETIC_BASE: u64 = 0xffff_8000_0000_0000;

/// How a stack that is not the task's only one belongs to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BranchKind {
    /// The task waits here too: a branch of `select!`, `join!`, `timeout`.
    Waiting,
    /// Registered in the same poll; whether the task still waits there cannot be told.
    AlsoRegistered,
}

/// The part of one leaf's stack that it does not share with the task's other leaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    /// Whether the task waits here.
    pub kind: BranchKind,
    /// Leaf first; ends below the trunk.
    pub locations: Vec<Arc<Location>>,
}

/// Where one task is: a trunk that all its leaves share, and a branch for each leaf where there are several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stack {
    /// Empty: the trunk is the whole stack (one leaf). Otherwise two or more, or one `AlsoRegistered` beside others.
    pub branches: Vec<Branch>,
    /// Leaf first, the task's root last.
    pub trunk: Vec<Arc<Location>>,
    /// Frames left out in the middle of a stack deeper than the bound, and the index in the trunk before which they
    /// are missing.
    pub elided: Option<(usize, u32)>,
    /// Why there is no stack, in words ("foreign task: ..."); a stack may be empty only with this set.
    pub missing: Option<Arc<str>>,
}

impl Stack {
    /// How the texts name a branch, by its index: `select.branch_1_of_2`, or `also_registered.branch_1_of_2`.
    pub(crate) fn branch_name(&self, index: usize) -> String {
        let kind = match self.branches.get(index).map(|branch| branch.kind) {
            Some(BranchKind::AlsoRegistered) => "also_registered",
            Some(BranchKind::Waiting) | None => "select",
        };
        format!("{kind}.branch_{}_of_{}", index + 1, self.branches.len())
    }
}

/// Where tasks were spawned.
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
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub limit: u64,
    /// Offset of `start` in the file.
    pub offset: u64,
    /// Path of the file.
    pub file: String,
    /// GNU build id in lower-case hex; empty where there is none.
    pub build_id: String,
}
