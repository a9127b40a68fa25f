//! What std has no safe call for: a look at a socket that takes nothing and does not wait, and the end of a listener.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many of the next bytes are there, at most 1; 0 if the other end has finished sending.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if there is nothing yet; otherwise the connection is broken.
#[expect(unsafe_code, reason = "std peeks TCP only, and waits")]
pub(crate) fn peek(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut byte = [0_u8; 1];
    // SAFETY: the descriptor is borrowed, so it is open; the buffer is one byte and outlives the call.
    let seen = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            byte.as_mut_ptr().cast(),
            byte.len(),
            libc::MSG_PEEK | libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(seen).map_err(|_| io::Error::last_os_error())
}

/// Makes `accept` on a listener return with an error, now and from now on. Linux does that; elsewhere nothing may happen.
#[expect(unsafe_code, reason = "std shuts down connections only")]
pub(crate) fn stop_accepting(listener: BorrowedFd<'_>) {
    // SAFETY: the descriptor is borrowed, so it is open; the call takes no memory.
    // It fails where a listener cannot be shut down: nothing is to be done about that.
    let _ = unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
}
