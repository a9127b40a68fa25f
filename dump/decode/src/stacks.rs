//! Chains as stacks of runtime-dump's model.

use crate::model::{Chain, Frame};
use runtime_dump::naming::reason::{self, Reason};
use runtime_dump::naming::role;
use runtime_dump::stack::{self, Branch, BranchKind, Location, SYNTHETIC_BASE, Stack};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The stack of a chain, and its reasons.
#[derive(Clone, Debug)]
pub struct ChainStack {
    /// The stack.
    pub stack: Stack,
    /// The wait reason.
    pub reason: Reason,
    /// The wait reason of each branch; empty without branches.
    pub branches: Vec<Reason>,
}

/// The parts of a chain that its stack shows, without the details, as the key of a map.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'c>(pub &'c Chain);

impl Shape<'_> {
    fn branches(&self) -> impl Iterator<Item = Shape<'_>> {
        self.0.branches.iter().map(Shape)
    }
}

impl PartialEq for Shape<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.frames == other.0.frames
            && self.0.cut == other.0.cut
            && self.branches().eq(other.branches())
    }
}

impl Eq for Shape<'_> {}

impl Hash for Shape<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.frames.hash(state);
        self.0.cut.hash(state);
        state.write_usize(self.0.branches.len());
        self.branches().for_each(|branch| branch.hash(state));
    }
}

/// Makes stacks. The location of each frame is made once.
#[derive(Debug)]
pub struct Stacks<'f> {
    frames: &'f [Frame],
    made: HashMap<(u32, bool), Arc<Location>>,
}

impl<'f> Stacks<'f> {
    /// Starts without locations, for chains that refer to these frames.
    pub fn new(frames: &'f [Frame]) -> Self {
        Self {
            frames,
            made: HashMap::new(),
        }
    }

    fn get(&mut self, number: u32, hidden: bool) -> Arc<Location> {
        let frame = &self.frames[number as usize];
        let location = self.made.entry((number, hidden)).or_insert_with(|| {
            Arc::new(Location {
                return_address: SYNTHETIC_BASE + u64::from(number) + 1,
                function_offset: None,
                frames: vec![stack::Frame {
                    function: frame.function.clone(),
                    file: frame.file.clone(),
                    line: frame.line,
                }],
                hidden,
            })
        });
        location.clone()
    }

    /// The stack of a chain. With `verbose` it includes libraries' wrappers and machinery.
    pub fn stack(&mut self, chain: &Chain, verbose: bool) -> ChainStack {
        let mut leaves = Vec::new();
        for branch in &chain.branches {
            push_leaves(&mut leaves, &[], branch);
        }
        let mut missing = None;
        if chain.frames.is_empty() && leaves.is_empty() {
            missing = Some(chain.cut.unwrap_or("nothing of its future is known").into());
        }
        if leaves.is_empty() {
            let mut numbers = chain.frames.to_vec();
            numbers.reverse();
            let (reason, public) = reason_of(self.frames, &numbers);
            let trunk = self.path(&numbers, public, verbose);
            let stack = Stack {
                trunk,
                missing,
                ..Stack::default()
            };
            return ChainStack {
                stack,
                reason,
                branches: Vec::new(),
            };
        }
        let (mut branches, mut reasons) = (Vec::new(), Vec::new());
        for mut numbers in leaves {
            numbers.reverse();
            let (reason, public) = reason_of(self.frames, &numbers);
            reasons.push(reason);
            branches.push(Branch {
                kind: BranchKind::Waiting,
                locations: self.path(&numbers, public, verbose),
            });
        }
        let mut numbers = chain.frames.to_vec();
        numbers.reverse();
        let trunk = self.path(&numbers, 0, verbose);
        let stack = Stack {
            branches,
            trunk,
            missing,
            ..Stack::default()
        };
        ChainStack {
            stack,
            reason: Reason::Select,
            branches: reasons,
        }
    }

    /// The locations, leaf first. The frames below the call that waits are hidden as that call's machinery.
    fn path(&mut self, numbers: &[u32], public: usize, verbose: bool) -> Vec<Arc<Location>> {
        numbers
            .iter()
            .enumerate()
            .map(|(at, number)| {
                let is_folded =
                    self.frames[*number as usize].is_folded && at != public || at < public;
                self.get(*number, is_folded && !verbose)
            })
            .collect()
    }
}

/// The reason of a wait whose leaf is the first frame, and the index of the library's public call that waits.
pub(crate) fn reason_of(frames: &[Frame], numbers: &[u32]) -> (Reason, usize) {
    let mut reason = Reason::Unknown;
    let mut public = 0;
    for (at, number) in numbers.iter().enumerate() {
        let function = &frames[*number as usize].function;
        if !role::is_library(function) || (at > 0 && role::is_beside(function)) {
            break;
        }
        if let Some(found) = reason::reason_of(function) {
            reason = reason::combine(reason, found, function);
            public = at;
        }
    }
    (reason, public)
}

/// Adds the way from a branch to each of its leaves, the outermost frame first.
fn push_leaves(leaves: &mut Vec<Vec<u32>>, outer: &[u32], chain: &Chain) {
    let way: Vec<u32> = outer.iter().chain(chain.frames.iter()).copied().collect();
    if chain.branches.is_empty() {
        leaves.push(way);
        return;
    }
    for branch in &chain.branches {
        push_leaves(leaves, &way, branch);
    }
}
