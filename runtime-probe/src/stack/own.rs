//! The thread-local state of captures: the innermost poll, at which a capture ends, and the bounds of the stack.
//!
//! It is one thread-local, because in a library each access to a thread-local is a call that clobbers registers. Code
//! that runs for every wait accesses it once, at its begin, when it has no values in registers.

use crate::sys::thread;
use std::cell::Cell;
use std::ptr::null;

/// The state of a thread.
pub(crate) struct OwnStack {
    /// The frame of the innermost poll of ours on this thread, made by `source::waker`; null outside of any.
    pub(crate) innermost: Cell<*const ()>,
    /// The lower bound of the thread's own stack. Both bounds are set at the start of a runtime's thread, or at the first
    /// capture. They are 0 before that, after the last capture, and if the system does not tell.
    low: Cell<usize>,
    high: Cell<usize>,
}

thread_local! {
    /// No destructor, so it can be read for as long as the thread runs, and by a signal handler.
    static OWN: OwnStack = const {
        OwnStack {
            innermost: Cell::new(null()),
            low: Cell::new(0),
            high: Cell::new(0),
        }
    };
}

impl OwnStack {
    /// This thread's state.
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

    /// The same if `root` is known to lie above `sp`.
    #[inline(always)]
    pub(crate) fn holds_both(&self, sp: usize, root: usize) -> bool {
        self.low.get() <= sp && root < self.high.get()
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
            self.set_bounds(bounds);
        }
    }

    /// Sets the bounds.
    fn set_bounds(&self, bounds: std::ops::Range<usize>) {
        self.low.set(bounds.start);
        self.high.set(bounds.end);
    }

    /// Resets the bounds.
    pub(crate) fn forget_bounds(&self) {
        self.set_bounds(0..0);
    }
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
