//! The thread-local state of captures: the innermost poll, at which a capture ends, and the bounds of the stack.
//!
//! It is one thread-local, because in a library each access to a thread-local is a call that clobbers registers. Code
//! that runs for every wait accesses it once, at its begin, when it has no values in registers.

use std::cell::Cell;
use std::ptr::null;

/// The state of a thread.
pub(crate) struct OwnStack {
    /// The frame of the innermost poll of ours on this thread, made by `source::waker`; null outside of any.
    pub(crate) innermost: Cell<*const ()>,
    /// The lower bound of the thread's own stack. Both bounds are set at the first capture. They are 0 before it, after
    /// the last capture, and if the system does not tell.
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

    /// Sets the bounds.
    pub(crate) fn set_bounds(&self, bounds: std::ops::Range<usize>) {
        self.low.set(bounds.start);
        self.high.set(bounds.end);
    }

    /// Resets the bounds.
    pub(crate) fn forget_bounds(&self) {
        self.set_bounds(0..0);
    }
}
