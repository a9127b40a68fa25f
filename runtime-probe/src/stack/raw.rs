//! A captured stack.

use super::intern::{Intern, mix};
use crate::primitive::{AtomicU64, Ordering};

/// The properties of a type of futures. One per type; each codegen unit may have a copy.
#[derive(Debug)]
pub(crate) struct FutureMeta {
    /// `std::any::type_name`, as a function: it is not callable in constants.
    type_name: fn() -> &'static str,
    /// The size in bytes.
    pub(crate) size: usize,
}

impl FutureMeta {
    /// The name of the type, without our wrappers for labels and regions.
    pub(crate) fn type_name(&self) -> &'static str {
        let mut name = (self.type_name)();
        while let Some(inside) = WRAPPERS
            .iter()
            .find_map(|wrapper| name.strip_prefix(wrapper)?.strip_suffix('>'))
        {
            name = inside;
        }
        name
    }
}

const WRAPPERS: [&str; 3] = [
    "runtime_probe::source::labels::Labeled<",
    "runtime_probe::source::regions::Tasked<",
    "runtime_probe::source::regions::Region<",
];

/// Gives every future type its [`FutureMeta`].
pub(crate) trait HasMeta {
    const META: &'static FutureMeta;
}

impl<F> HasMeta for F {
    const META: &'static FutureMeta = &FutureMeta {
        type_name: std::any::type_name::<F>,
        size: size_of::<F>(),
    };
}

/// A stack of a future: return addresses from the leaf up to the poll of the wrapper.
#[derive(Debug)]
pub(crate) struct RawStack {
    pub(super) hash: u64,
    /// The future at the root.
    pub(crate) root: &'static FutureMeta,
    /// Leaf first. The first lies in the waker's own clone, the last in the wrapper's poll.
    pub(crate) pcs: Box<[usize]>,
    /// Frames left out between the two halves of `pcs`.
    pub(crate) elided: u32,
    /// How the walk ended.
    pub(crate) end: End,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At the wrapper's frame: the stack is complete.
    Root,
    /// At the thread's first function: the stack is complete.
    Thread,
    /// The unwind tables have no rule for the last frame.
    Lost,
    /// The poll runs on another stack, which a library switched to.
    Switched,
    /// The interrupted thread has too little stack left for a walk.
    NoRoom,
    /// The tables are full, so the stack was not kept.
    Unkept,
}

/// The most distinct stacks: at 40 frames each 320 B, so 21 MB. A program has as many as there are paths through its
/// code to a wait; a service of 300,000 lines had less than 2,000.
const MOST_STACKS: usize = 1 << 16;

static STACKS: Intern<RawStack, { 1 << 13 }> = Intern::new(MOST_STACKS);
/// Captures for which a table was full.
static OVERFLOW: AtomicU64 = AtomicU64::new(0);

/// The number of distinct stacks.
pub(super) fn count() -> usize {
    STACKS.len()
}

/// The number of captures lost to full tables.
pub(super) fn lost() -> u64 {
    OVERFLOW.load(Ordering::Relaxed)
}

/// Counts a capture for which a table was full.
pub(super) fn note_lost() {
    OVERFLOW.fetch_add(1, Ordering::Relaxed);
}

impl RawStack {
    /// The interned stack; `None` if the table is full.
    pub(crate) fn intern(
        root: &'static FutureMeta,
        pcs: &[usize],
        elided: u32,
        end: End,
    ) -> Option<&'static RawStack> {
        let hash = pcs
            .iter()
            .fold(root as *const _ as u64 ^ u64::from(elided), |hash, pc| {
                mix(hash, *pc as u64)
            });
        let same = |other: &RawStack| {
            std::ptr::eq(other.root, root)
                && *other.pcs == *pcs
                && other.elided == elided
                && other.end == end
        };
        let stack = STACKS.intern(hash, same, || RawStack {
            hash,
            root,
            pcs: pcs.into(),
            elided,
            end,
        });
        if stack.is_none() {
            note_lost();
        }
        stack
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;

    fn stack(leaf: usize) -> &'static RawStack {
        RawStack::intern(<() as HasMeta>::META, &[leaf, 2, 3], 0, End::Root).unwrap()
    }

    #[test]
    fn equal_stacks_are_one() {
        assert!(std::ptr::eq(stack(1), stack(1)));
        assert!(!std::ptr::eq(stack(1), stack(2)));
    }
}
