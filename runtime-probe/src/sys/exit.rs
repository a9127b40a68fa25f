//! Ends the process at once, without destructors and `atexit` handlers: a process that hangs may hang in those, too.

/// Ends the process with this code.
#[expect(unsafe_code, reason = "_exit")]
pub(crate) fn at_once(code: i32) -> ! {
    // SAFETY: takes a number, and does not return.
    unsafe { libc::_exit(code) }
}
