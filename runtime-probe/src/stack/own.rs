//! What a thread has at hand for a capture of its own stack: the innermost poll, where a capture ends, and how far the
//! stack reaches.
//!
//! One thread-local for all of it: in a library the address of each one is computed by code that may clobber every register
//! that a caller does not expect to be kept. Whatever runs for every wait asks once, before it has anything to keep.

use std::cell::Cell;
use std::ptr::null;

/// See the module.
pub(crate) struct OwnStack {
    /// The frame of the innermost poll of ours on this thread, `source::waker`'s; null outside of any.
    pub(crate) innermost: Cell<*const ()>,
    /// The bounds of the thread's own stack, once it has captured something; empty before, after its last capture, and
    /// where the system does not tell.
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
    /// This thread's.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a thread-local without a destructor")]
    pub(crate) fn here<'a>() -> &'a OwnStack {
        // SAFETY: it is there for as long as the thread runs, as nothing drops it. `OwnStack` is not Sync, so no reference
        // gets to another thread.
        unsafe { &*OWN.with(std::ptr::from_ref) }
    }

    /// The stack that anchor and root are on is known to be the thread's own.
    #[inline(always)]
    pub(crate) fn holds(&self, sp: usize, root: usize) -> bool {
        self.low.get() <= sp && sp < root && root < self.high.get()
    }

    /// The same where `root` is known to lie above `sp`.
    #[inline(always)]
    pub(crate) fn holds_both(&self, sp: usize, root: usize) -> bool {
        self.low.get() <= sp && root < self.high.get()
    }

    /// Where it ends; 0 where that is not known.
    pub(crate) fn high(&self) -> usize {
        self.high.get()
    }

    /// From now on these are the bounds.
    pub(crate) fn set_bounds(&self, bounds: std::ops::Range<usize>) {
        self.low.set(bounds.start);
        self.high.set(bounds.end);
    }

    /// From now on no bounds are known.
    pub(crate) fn forget_bounds(&self) {
        self.set_bounds(0..0);
    }
}
