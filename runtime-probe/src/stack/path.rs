//! A path through the code to a wait, with the stack offsets of its return addresses.
//!
//! # Why comparing is sound
//! The frame size at a call site is static. So the anchor (one instruction of one function) gives the place of the
//! first return address. If the word there equals the path's first address, the frame above belongs to that call site,
//! which gives the place of the second address, and so on up to the root. By induction no stale word decides: a word
//! counts only if everything below it has matched. A frame that realigns its stack moves its return address by an
//! amount known at run time only. Then the words differ, which is a miss. A wrong hit would need a stale copy of the
//! right address in the padding, and another frame that compensates for the difference in depth; that was never seen.
//! Words are compared in fours, so some words are read that the induction does not cover. They lie between the anchor
//! and the root on this thread's own stack, which is checked first, so reading them is safe.

use super::anchor::Anchor;
use super::intern::{Intern, mix};
use super::raw::RawStack;
use super::signature;

/// The most distinct paths: at 20 frames 400 B, so 26 MB. There are hardly more paths than stacks: only a frame that
/// realigns gives another path for the same stack.
const MOST_PATHS: usize = 1 << 16;

static PATHS: Intern<Path, { 1 << 13 }> = Intern::new(MOST_PATHS);

/// A path. Its return addresses lie at the same distance from the anchor in every thread.
#[derive(Debug)]
pub(crate) struct Path {
    /// The anchor's instruction. Compilers may copy the capturing function, and a copy's frame may have another size.
    anchor: usize,
    /// The distance from the anchor's stack pointer to the root.
    depth: usize,
    /// (offset above the anchor's stack pointer, return address), in fours. The last four is filled with the first
    /// slot.
    slots: Box<[[(usize, usize); 4]]>,
    /// The stack of the path.
    pub(crate) stack: &'static RawStack,
}

impl Path {
    /// The interned path; `None` without slots, and if the table is full.
    pub(crate) fn intern(
        anchor: &Anchor,
        depth: usize,
        slots: &[(usize, usize)],
        stack: &'static RawStack,
    ) -> Option<&'static Path> {
        let first = *slots.first()?;
        let hash = slots
            .iter()
            .fold(mix(anchor.pc as u64, depth as u64), |hash, (offset, pc)| {
                mix(mix(hash, *offset as u64), *pc as u64)
            });
        let hash = mix(hash, std::ptr::from_ref(stack) as u64);
        let same = |other: &Path| {
            std::ptr::eq(other.stack, stack)
                && (other.anchor, other.depth) == (anchor.pc, depth)
                && other
                    .slots
                    .as_flattened()
                    .get(..slots.len())
                    .is_some_and(|others| others == slots)
        };
        PATHS.intern(hash, same, || Path {
            anchor: anchor.pc,
            depth,
            slots: slots
                .chunks(4)
                .map(|four| std::array::from_fn(|at| four.get(at).copied().unwrap_or(first)))
                .collect(),
            stack,
        })
    }

    /// Whether the stack from the root, `depth` above the anchor, to the anchor is this path.
    ///
    /// # Safety
    /// The anchor was taken by a function that is still running on this thread, and the address `depth` above it is
    /// still on the thread's own stack.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads this thread's stack")]
    pub(crate) unsafe fn is_taken(&self, anchor: &Anchor, depth: usize) -> bool {
        // With equal depths, all read places lie below the root.
        if self.depth != depth || self.anchor != anchor.pc {
            return false;
        }
        for four in &self.slots {
            for (offset, pc) in four {
                // SAFETY: the offset is below the depth, so the place lies between the anchor's stack pointer and the root, on
                // this thread's own stack. It is aligned: offsets are multiples of 8, as is the stack pointer.
                let word = unsafe { ((anchor.sp + offset) as *const usize).read_volatile() };
                if signature::strip(word) != *pc {
                    return false;
                }
            }
        }
        true
    }
}
