//! The end of the process at once: no destructors, no handlers registered for the end. A process that hangs
//! may hang in those, too.

/// Ends the process with this code.
#[expect(unsafe_code, reason = "_exit")]
pub(crate) fn at_once(code: i32) -> ! {
    // SAFETY: takes a number, and does not come back.
    unsafe { libc::_exit(code) }
}
