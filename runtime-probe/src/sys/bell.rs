//! Wakes a waiting thread from a signal handler, through an eventfd, which a handler may write to. Rejected: a
//! condition variable, which a handler may not touch; a futex, which passes through `syscall`: with the feature
//! `interpose` that is ours and counts waits.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// Rung in handlers, heard by one thread at a time.
#[derive(Debug)]
pub(crate) struct Bell(imp::Bell);

impl Bell {
    /// A bell that has not been rung.
    ///
    /// # Errors
    /// The system's: no file descriptor is left.
    pub(crate) fn new() -> io::Result<Bell> {
        imp::Bell::new().map(Bell)
    }

    /// The bell in a handler's cell. The first call puts it there.
    ///
    /// # Errors
    /// As [`Bell::new`].
    pub(crate) fn of(cell: &'static OnceLock<Bell>) -> io::Result<&'static Bell> {
        match cell.get() {
            Some(bell) => Ok(bell),
            None => {
                let bell = Bell::new()?;
                Ok(cell.get_or_init(|| bell))
            }
        }
    }

    /// Wakes the waiting thread, or lets the next wait return at once. Async-signal-safe, but for `errno`. Never
    /// blocks.
    pub(crate) fn ring(&self) {
        self.0.ring();
    }

    /// Returns once the bell was rung since the last wait, at the latest after `most`. May also return earlier.
    pub(crate) fn wait(&self, most: Duration) {
        self.0.wait(most);
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "eventfd and ppoll")]
mod imp {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::ptr::null;
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Bell(OwnedFd);

    impl Bell {
        pub(super) fn new() -> io::Result<Bell> {
            // SAFETY: takes numbers only.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: opened just now, and owned by no other code.
            Ok(Bell(unsafe { OwnedFd::from_raw_fd(fd) }))
        }

        pub(super) fn ring(&self) {
            let one = 1u64;
            // SAFETY: eight bytes that live through the call. It can only fail if no thread has waited for 2^64 - 1 rings.
            unsafe {
                libc::write(
                    self.0.as_raw_fd(),
                    (&raw const one).cast(),
                    size_of::<u64>(),
                )
            };
        }

        pub(super) fn wait(&self, most: Duration) {
            let mut fd = libc::pollfd {
                fd: self.0.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            let most = libc::timespec {
                tv_sec: most.as_secs().min(3600) as libc::time_t,
                tv_nsec: most.subsec_nanos() as _,
            };
            let mut rings = 0u64;
            // SAFETY: one pollfd, a time and eight bytes, which live through the calls.
            unsafe {
                if libc::ppoll(&mut fd, 1, &most, null()) == 1 {
                    libc::read(fd.fd, (&raw mut rings).cast(), size_of::<u64>());
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Bell;

    impl Bell {
        pub(super) fn new() -> io::Result<Bell> {
            Err(io::ErrorKind::Unsupported.into())
        }
        pub(super) fn ring(&self) {}
        pub(super) fn wait(&self, _: Duration) {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_ring_is_heard_once_even_if_it_came_before() {
        let bell = Bell::new().unwrap();
        bell.ring();
        bell.ring();
        let began = Instant::now();
        bell.wait(Duration::from_secs(3600));
        assert!(began.elapsed() < Duration::from_secs(3600));
        bell.wait(Duration::from_millis(30));
        assert!(began.elapsed() >= Duration::from_millis(30));
    }
}
