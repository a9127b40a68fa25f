//! Calls that std has no safe form of: several parts in one message, the size of a socket's buffer, the state of a
//! connection without reading or waiting, the end of a listener, and the priority of a thread.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether the client has finished sending, or the connection is broken. Does not wait. Unread bytes do not hide it.
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

/// Whether the client has finished sending, or the connection is broken. Does not wait. Unread bytes hide it: only
/// Linux tells.
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

/// Makes `accept` on a listener return an error, now and later. Linux does that; on other systems the call may have
/// no effect.
#[expect(unsafe_code, reason = "std shuts down connections only")]
pub(crate) fn stop_accepting(listener: BorrowedFd<'_>) {
    // SAFETY: the descriptor is borrowed, so it is open; the call takes no memory.
    // It fails if a listener cannot be shut down. That is ignored, as there is no other way.
    let _ = unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Raises no signal if the client has left. On Apple's systems no flag is passed, as by std, which relies on an option of the
/// listener there.
#[cfg(not(target_vendor = "apple"))]
const WITHOUT_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
const WITHOUT_SIGNAL: libc::c_int = 0;

/// Sends these parts, one after the other. Returns how many bytes were sent. No signal is raised if the client has left.
///
/// # Errors
/// The error of the system.
#[expect(unsafe_code, reason = "std raises the signal")]
pub(crate) fn send(socket: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: all fields are numbers and pointers, and may be zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // An `IoSlice` has the layout of an `iovec`, as std guarantees. The call does not write to it.
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    // SAFETY: the descriptor is borrowed, so it is open; the message and its parts outlive the call, which only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, WITHOUT_SIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sets how many bytes a socket takes before they are sent. Linux doubles the number, for its own bookkeeping, and
/// has a limit.
///
/// # Errors
/// The error of the system.
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

/// Lets other threads of the process run before this one, from now on, if there are too few CPUs for all. This thread
/// still gets a third of the share of another one. On systems without a priority for threads nothing happens.
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
