//! An allocator that ends the process if allocating is forbidden: a test cannot catch a panic in a signal handler.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator for all other calls.
pub struct Forbidding {
    /// Called before each allocation, on its thread.
    pub is_forbidden: fn() -> bool,
    /// The message on standard error.
    pub told: &'static str,
}

impl Forbidding {
    fn check(&self) {
        if (self.is_forbidden)() {
            // SAFETY: the bytes live through the call; the abort is intended.
            unsafe {
                libc::write(2, self.told.as_ptr().cast(), self.told.len());
                libc::abort();
            }
        }
    }
}

// SAFETY: the system's allocator, or no return at all.
unsafe impl GlobalAlloc for Forbidding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.check();
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.check();
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
