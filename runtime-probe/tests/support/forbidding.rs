//! An allocator that ends the process where nothing may be allocated: a test cannot catch what happens in a handler.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator for all other calls.
pub struct Forbidding {
    /// Asked before each call, on its thread.
    pub is_forbidden: fn() -> bool,
    /// The last words, on standard error.
    pub told: &'static str,
}

impl Forbidding {
    fn check(&self) {
        if (self.is_forbidden)() {
            // SAFETY: bytes that live through the call; abort is what is wanted.
            unsafe {
                libc::write(2, self.told.as_ptr().cast(), self.told.len());
                libc::abort();
            }
        }
    }
}

// SAFETY: System's, or no return at all.
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
