//! The bounds of this thread's own stack.

use crate::sys::thread;
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{Ordering, compiler_fence};

/// The bounds of a thread's own stack.
pub(crate) struct OwnStack {
    /// The lower bound of the thread's own stack. Both bounds are set at the start of a runtime's thread, or at the first
    /// capture. They are 0 before that, after the last capture, and if the system does not tell.
    low: Cell<usize>,
    high: Cell<usize>,
}

thread_local! {
    /// No destructor, so it can be read for as long as the thread runs, and by a signal handler.
    static OWN: OwnStack = const {
        OwnStack {
            low: Cell::new(0),
            high: Cell::new(0),
        }
    };
}

impl OwnStack {
    /// This thread's bounds.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a thread-local without a destructor")]
    pub(crate) fn here<'a>() -> &'a OwnStack {
        // SAFETY: it exists for as long as the thread runs, because nothing drops it. `OwnStack` is not Sync, so no
        // reference gets to another thread.
        unsafe { &*OWN.with(std::ptr::from_ref) }
    }

    /// Whether the stack pointer `sp` and `root` lie on the thread's own stack, in this order.
    #[inline(always)]
    pub(crate) fn holds(&self, sp: usize, root: usize) -> bool {
        self.low.get() <= sp && sp < root && root < self.high.get()
    }

    /// The upper bound; 0 if not known.
    pub(crate) fn high(&self) -> usize {
        self.high.get()
    }

    /// The part of the stack from `sp` on; empty if `sp` is not on the thread's own stack, or its bounds are not known.
    pub(crate) fn from(&self, sp: usize) -> OwnPart {
        let (low, high) = (self.low.get(), self.high.get());
        match low <= sp && sp < high {
            true => OwnPart { low, sp, high },
            false => OwnPart {
                low: 0,
                sp: 0,
                high: 0,
            },
        }
    }

    /// Asks the system for the bounds, if they are not known. Not for signal handlers and allocators.
    pub(crate) fn learn_bounds(&self) {
        if self.high.get() == 0
            && let Some(bounds) = thread::stack_bounds()
        {
            self.low.set(lowest(&bounds));
            // A signal handler that sees the upper bound sees the lower one, too.
            compiler_fence(Ordering::SeqCst);
            self.high.set(bounds.end);
        }
    }

    /// Resets the bounds.
    pub(crate) fn forget_bounds(&self) {
        self.high.set(0);
        // A signal handler never sees an upper bound without the lower one: any stack below it would be the thread's own.
        compiler_fence(Ordering::SeqCst);
        self.low.set(0);
    }
}

/// The most of a stack that counts as the thread's own. Without a limit on the main thread's stack, the system says that it
/// reaches down to the mapping below it, terabytes away. The heap grows into that range, and so do the stacks that
/// coroutine libraries allocate there.
const MOST: usize = 1 << 30;

/// The lower bound of the stack with these bounds.
fn lowest(bounds: &Range<usize>) -> usize {
    bounds.start.max(bounds.end.saturating_sub(MOST))
}

/// What a thread's own stack has from a stack pointer on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnPart {
    low: usize,
    sp: usize,
    high: usize,
}

impl OwnPart {
    /// The word at this address, if it lies there. Async-signal-safe.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads this thread's stack")]
    pub(crate) fn word(&self, address: usize) -> Option<usize> {
        let is_here = self.sp <= address
            && address <= self.high.saturating_sub(size_of::<usize>())
            && address.is_multiple_of(size_of::<usize>());
        // SAFETY: aligned, and between a stack pointer of this thread and the end of its stack, all of which is mapped.
        (is_here && self.high != 0).then(|| unsafe { (address as *const usize).read_volatile() })
    }

    /// How many bytes lie below it; `None` if the bounds are not known.
    pub(crate) fn room(&self) -> Option<usize> {
        (self.high != 0).then(|| self.sp - self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_without_a_limit_does_not_contain_the_heap() {
        // As seen on Linux under `ulimit -s unlimited`.
        let main = 0x5637_0f45_3000..0x7ffd_e7e5_7000;
        assert_eq!(lowest(&main), main.end - MOST);
        let thread = 0x7f14_0733_4000..0x7f14_0753_4000;
        assert_eq!(lowest(&thread), thread.start);
        assert_eq!(lowest(&(0..4096)), 0);
    }

    #[test]
    fn words_are_read_up_to_the_end_and_no_further() {
        let words = [1usize, 2, 3, 4];
        let sp = words.as_ptr().addr();
        let own = OwnStack {
            low: Cell::new(sp - 64),
            high: Cell::new(sp + size_of_val(&words)),
        };
        let part = own.from(sp);
        assert_eq!(part.word(sp), Some(1));
        assert_eq!(part.word(sp + 24), Some(4));
        assert_eq!(part.room(), Some(64));
        for outside in [sp - 8, sp + 1, sp + 25, sp + 32, usize::MAX - 7, 0] {
            assert_eq!(part.word(outside), None);
        }
        own.forget_bounds();
        assert_eq!(own.from(sp).word(sp), None);
        assert_eq!(own.from(sp).room(), None);
        // No stack at the lowest addresses is taken for this one.
        assert_eq!(own.from(0).word(0), None);
    }
}
