//! A path through the code to a wait, with the stack offsets of its return addresses.
//!
//! # Why comparing is sound
//! The anchor (one instruction of one function) gives the place of the first return address. If the word there equals the
//! path's first address, the frame above belongs to that call site. If its size at that call site is fixed, this gives the
//! place of the second address, and so on up to the root. By induction no stale word decides, and every word that is read
//! lies in a frame of this call: a word is read only if everything below it has matched.
//!
//! The unwind tables tell whether a frame's size is fixed ([`Slot::is_fixed`]). A path of fixed frames is compared as it
//! is. One with other frames (which realign their stack, or are compiled with frame pointers) is compared only if
//! depth and bounds fit: a frame that has another size than in the path moves the words above it, so what is read may be no
//! return address, but it MUST lie on this thread's own stack. Then the words differ, which is a miss. A wrong hit
//! would need a stale copy of the right address in the padding, and another frame that compensates for the difference in
//! depth; that was never seen.
//!
//! [`Slot::is_fixed`]: super::unwind::Slot::is_fixed

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
    /// (offset above the anchor's stack pointer, return address), four at a time. The last four is filled with the first
    /// slot. Most of the shorter paths have no further ones.
    first: [(usize, usize); 4],
    further: Box<[[(usize, usize); 4]]>,
    /// Whether there are no further ones: a comparison with memory instead of a load.
    is_short: bool,
    /// The anchor's instruction. Compilers may copy the capturing function, and a copy's frame may have another size.
    pub(super) anchor: usize,
    /// The distance from the anchor's stack pointer to the root.
    pub(super) depth: usize,
    /// Whether all of its frames have fixed sizes.
    pub(super) is_fixed: bool,
    /// The stack of the path.
    pub(crate) stack: &'static RawStack,
}

impl Path {
    /// The interned path; `None` without slots, and if the table is full.
    pub(crate) fn intern(
        anchor: &Anchor,
        depth: usize,
        slots: &[(usize, usize)],
        is_fixed: bool,
        stack: &'static RawStack,
    ) -> Option<&'static Path> {
        let filler = *slots.first()?;
        let four = |slots: &[(usize, usize)]| {
            std::array::from_fn(|at| slots.get(at).copied().unwrap_or(filler))
        };
        let (first, further) = slots.split_at(slots.len().min(4));
        let hash = slots
            .iter()
            .fold(mix(anchor.pc as u64, depth as u64), |hash, (offset, pc)| {
                mix(mix(hash, *offset as u64), *pc as u64)
            });
        let hash = mix(hash, std::ptr::from_ref(stack) as u64);
        let same = |other: &Path| {
            std::ptr::eq(other.stack, stack)
                && (other.anchor, other.depth) == (anchor.pc, depth)
                && other.is_fixed == is_fixed
                && other.first.starts_with(first)
                && other.further.as_flattened().starts_with(further)
        };
        PATHS.intern(hash, same, || Path {
            first: four(first),
            further: further.chunks(4).map(four).collect(),
            is_short: further.is_empty(),
            anchor: anchor.pc,
            depth,
            is_fixed,
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
        // With equal depths, all read places lie below the root. SAFETY: by this function's own contract.
        self.depth == depth && self.anchor == anchor.pc && unsafe { self.words_match(anchor) }
    }

    /// Whether the stack above the anchor has the path's return addresses.
    ///
    /// # Safety
    /// The anchor was taken at the path's instruction, by a function that is still running on this thread. Either the path is
    /// fixed, or the address `depth` above the anchor is still on the thread's own stack.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads this thread's stack")]
    pub(super) unsafe fn words_match(&self, anchor: &Anchor) -> bool {
        let are_there = |slots: &[(usize, usize); 4]| {
            for (offset, pc) in slots {
                // SAFETY: aligned, because offsets are multiples of 8, as is the stack pointer. On a fixed path it is the
                // place of a return address in a live frame: all words below have matched, so the frames below are those
                // of the path. On another one it lies between the anchor's stack pointer and the root, on this thread's
                // own stack.
                let word = unsafe { ((anchor.sp + offset) as *const usize).read_volatile() };
                if signature::strip(word) != *pc {
                    return false;
                }
            }
            true
        };
        if !are_there(&self.first) {
            return false;
        }
        if self.is_short {
            return true;
        }
        for slots in &self.further {
            if !are_there(slots) {
                return false;
            }
        }
        true
    }
}
