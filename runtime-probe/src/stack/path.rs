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
use std::iter;

/// The most distinct paths: at 20 frames 400 B, so 26 MB. There are hardly more paths than stacks: only a frame that
/// realigns gives another path for the same stack.
const MOST_PATHS: usize = 1 << 16;

static PATHS: Intern<Path, { 1 << 13 }> = Intern::new(MOST_PATHS);

/// Four return addresses of a path, with their offsets above the anchor's stack pointer. The last four are filled with the
/// path's first slot.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Slots {
    pcs: [usize; 4],
    offsets: [u32; 4],
    next: Option<&'static Slots>,
}

/// Further slots, as a CPU reads them at once.
#[repr(align(64))]
struct Line(Slots);

impl Slots {
    pub(super) const NONE: Slots = Slots {
        pcs: [0; 4],
        offsets: [0; 4],
        next: None,
    };

    /// At least one slot. They are never freed: [`PATHS`] keeps what it takes, and takes all but those of threads that made the
    /// same path at the same time.
    fn new(slots: &[(u32, usize)]) -> Self {
        let four = |four: &[(u32, usize)]| {
            let at = |at: usize| *four.get(at).unwrap_or(&slots[0]);
            Slots {
                pcs: std::array::from_fn(|slot| at(slot).1),
                offsets: std::array::from_fn(|slot| at(slot).0),
                next: None,
            }
        };
        let (first, further) = slots.split_at(slots.len().min(4));
        let lines: Box<[Line]> = further.chunks(4).map(|slots| Line(four(slots))).collect();
        let mut first = four(first);
        let mut lines = Box::leak(lines);
        while let Some((last, before)) = lines.split_last_mut() {
            last.0.next = first.next;
            first.next = Some(&last.0);
            lines = before;
        }
        first
    }

    /// Whether they begin with these.
    fn begin_with(&self, slots: &[(u32, usize)]) -> bool {
        let fours = iter::successors(Some(self), |slots| slots.next);
        let own = fours.flat_map(|four| iter::zip(four.offsets, four.pcs));
        own.take(slots.len()).eq(slots.iter().copied())
    }

    /// Whether the stack above the anchor has these return addresses.
    ///
    /// # Safety
    /// The anchor was taken at the path's instruction, by a function that is still running on this thread. Either the path is
    /// fixed, or its depth above the anchor is still on the thread's own stack.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads this thread's stack")]
    pub(super) unsafe fn match_stack(&self, anchor: &Anchor) -> bool {
        let mut slots = self;
        loop {
            for (pc, offset) in iter::zip(&slots.pcs, &slots.offsets) {
                // SAFETY: aligned, because offsets are multiples of 8, as is the stack pointer. On a fixed path it is the
                // place of a return address in a live frame: all words below have matched, so the frames below are those
                // of the path. On another one it lies between the anchor's stack pointer and the root, on this thread's
                // own stack.
                let word =
                    unsafe { ((anchor.sp + *offset as usize) as *const usize).read_volatile() };
                if signature::strip(word) != *pc {
                    return false;
                }
            }
            match slots.next {
                Some(next) => slots = next,
                None => return true,
            }
        }
    }
}

/// A path. Its return addresses lie at the same distance from the anchor in every thread.
#[derive(Debug)]
pub(crate) struct Path {
    pub(super) slots: Slots,
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
        slots: &[(u32, usize)],
        is_fixed: bool,
        stack: &'static RawStack,
    ) -> Option<&'static Path> {
        if slots.is_empty() {
            return None;
        }
        let hash = slots
            .iter()
            .fold(mix(anchor.pc as u64, depth as u64), |hash, (offset, pc)| {
                mix(mix(hash, u64::from(*offset)), *pc as u64)
            });
        let hash = mix(hash, std::ptr::from_ref(stack) as u64);
        let same = |other: &Path| {
            std::ptr::eq(other.stack, stack)
                && (other.anchor, other.depth) == (anchor.pc, depth)
                && other.is_fixed == is_fixed
                && other.slots.begin_with(slots)
        };
        PATHS.intern(hash, same, || Path {
            slots: Slots::new(slots),
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
        self.depth == depth && self.anchor == anchor.pc && unsafe { self.slots.match_stack(anchor) }
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::super::raw::{End, HasMeta};
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "compares with an array")]
    fn each_return_address_counts() {
        for len in 1..=13_usize {
            let slots: Vec<(u32, usize)> = (0..len)
                .map(|at| (8 * (2 * at as u32 + 1), 1000 + at))
                .collect();
            let pcs: Vec<usize> = slots.iter().map(|slot| slot.1).collect();
            let stack = RawStack::intern(<() as HasMeta>::META, &pcs, 0, End::Root).unwrap();
            let mut words = vec![0_usize; 2 * len + 1];
            for (offset, pc) in &slots {
                words[*offset as usize / 8] = *pc;
            }
            let sp = words.as_mut_ptr().expose_provenance();
            let anchor = Anchor { pc: 1, sp, fp: 0 };
            let intern = |slots: &[_]| Path::intern(&anchor, 500, slots, true, stack).unwrap();
            let path = intern(&slots);
            assert!(std::ptr::eq(intern(&slots), path), "interned");
            // SAFETY: the anchor's stack is the array.
            let is_taken = || unsafe { path.is_taken(&anchor, 500) };
            assert!(is_taken(), "{len}");
            for at in 0..words.len() {
                let place = std::ptr::with_exposed_provenance_mut::<usize>(sp + 8 * at);
                // SAFETY: a word of the array.
                unsafe { *place += 1 };
                assert_eq!(is_taken(), at % 2 == 0, "word {at} of {len}");
                // SAFETY: the same.
                unsafe { *place -= 1 };
            }
            let mut others = slots.clone();
            others.last_mut().unwrap().1 += 1;
            assert!(!std::ptr::eq(intern(&others), path), "{len}: another path");
        }
    }
}
