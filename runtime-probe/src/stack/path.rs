//! A way through the code to a wait, and where on the stack its return addresses lie.
//!
//! # Why comparing is sound
//! The frame size at a call site is static. So from the anchor (one instruction of one function) the place of the first
//! return address is known; if the word there equals the path's first address, the frame above is that call site's,
//! which makes the place of the second address known; and so on up to the root. By induction no stale word decides: a
//! word counts only if everything below it has matched. A frame that realigns its stack moves its return address by
//! run-time amounts: then the words differ, a miss, unless a stale copy of the right address lies in the padding and
//! another frame makes up for the difference, so that the depth is the same: possible, never seen. Words are read in
//! fours, so some may be read that the induction does not vouch for; they lie between the anchor and the root on this
//! thread's own stack, which is checked first, so they can be read.

use super::anchor::Anchor;
use super::intern::{Intern, mix};
use super::raw::RawStack;
use super::signature;

/// At most this many distinct paths are kept: at 20 frames 400 B, so 26 MB. There are hardly more than stacks: another
/// path of the same stack comes from a frame that realigns.
const MOST_PATHS: usize = 1 << 16;

static PATHS: Intern<Path, { 1 << 13 }> = Intern::new(MOST_PATHS);

/// A path. Every thread that takes it finds its return addresses at the same distance from its anchor.
#[derive(Debug)]
pub(crate) struct Path {
    /// The anchor's instruction. Compilers may copy the capturing function; the copy's frame may have another size.
    anchor: usize,
    /// From the anchor's stack pointer to the root.
    depth: usize,
    /// Return addresses and where they lie above the anchor's stack pointer, in fours; the last four is filled up with
    /// repetitions of the first slot.
    slots: Box<[[(usize, usize); 4]]>,
    /// What is found there.
    pub(crate) stack: &'static RawStack,
}

impl Path {
    /// The one path equal to this; `None` for one without slots, and when the table is full.
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

    /// Whether the way from the root, `depth` above the anchor, to the anchor is this one.
    ///
    /// # Safety
    /// The anchor was taken by a function that is still running on this thread, and `depth` above it the thread's own
    /// stack still goes on.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads this thread's stack")]
    pub(crate) unsafe fn is_taken(&self, anchor: &Anchor, depth: usize) -> bool {
        // Equal depth puts every place that is read below the root.
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
