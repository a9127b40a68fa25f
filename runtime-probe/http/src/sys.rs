//! What std has no safe call for: the size of a socket's buffer, a look at it that takes nothing and does not wait, the end of a
//! listener, and the priority of a thread.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether the other end has finished sending, or the connection is broken. Does not wait. Bytes that are not read yet
/// do not hide it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std does not poll")]
pub(crate) fn is_finished(socket: BorrowedFd<'_>) -> bool {
    let mut polled = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLRDHUP,
        revents: 0,
    };
    // SAFETY: the descriptor is borrowed, so it is open; the call takes one `pollfd`, which outlives it.
    // `POLLERR` and `POLLHUP` (a broken connection) are reported without being requested. A failure tells nothing.
    unsafe { libc::poll(&raw mut polled, 1, 0) > 0 }
}

/// Whether the other end has finished sending, or the connection is broken. Does not wait. Bytes that are not read yet
/// hide it: only Linux tells.
#[cfg(not(target_os = "linux"))]
#[expect(unsafe_code, reason = "std peeks TCP only, and waits")]
pub(crate) fn is_finished(socket: BorrowedFd<'_>) -> bool {
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
    match seen {
        0 => true,
        1.. => false,
        _ => !matches!(
            io::Error::last_os_error().kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        ),
    }
}

/// Makes `accept` on a listener return with an error, now and from now on. Linux does that; elsewhere nothing may happen.
#[expect(unsafe_code, reason = "std shuts down connections only")]
pub(crate) fn stop_accepting(listener: BorrowedFd<'_>) {
    // SAFETY: the descriptor is borrowed, so it is open; the call takes no memory.
    // It fails where a listener cannot be shut down: nothing is to be done about that.
    let _ = unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Sets how many bytes a socket takes before they are sent on. Linux doubles it, for its own bookkeeping, and has a limit.
///
/// # Errors
/// What the system says.
#[expect(unsafe_code, reason = "std does not set it")]
pub(crate) fn set_send_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is borrowed, so it is open; the value is a `c_int`, which the option wants, of the size that
    // is given, and outlives the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            (&raw const bytes).cast(),
            size_of_val(&bytes) as libc::socklen_t,
        )
    };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets other threads of the process run before this one, from now on, where the CPUs do not suffice for all. It still
/// gets a third of what one of them gets. Where the system has no such thing for threads, nothing happens.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std has no priorities")]
pub(crate) fn lower_priority() {
    const NICE: libc::c_int = 5;
    // SAFETY: takes numbers only. On Linux the 0 stands for the calling thread, not for its process. A failure (a
    // sandbox that forbids it) leaves the priority as it was.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn lower_priority() {}
