//! System calls on another process.

#![expect(
    unsafe_code,
    reason = "process_vm_readv and ptrace have no safe wrapper in std"
)]

use super::Registers;
use std::io;
use std::time::{Duration, Instant};

/// The most ranges of one call of `process_vm_readv` (UIO_MAXIOV).
pub(super) const MOST_RANGES: usize = 1024;

/// Copies ranges, each a start and a length, one after the other into `into`. Returns the number of bytes before the
/// first unmapped page. The process is that of the thread `tid`, which MUST not have ended. Otherwise nothing is copied.
pub(super) fn read_ranges(tid: u32, ranges: &[(u64, usize)], into: &mut [u8]) -> usize {
    debug_assert!(ranges.len() <= MOST_RANGES);
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote: Vec<libc::iovec> = ranges
        .iter()
        .map(|(start, length)| libc::iovec {
            iov_base: *start as *mut libc::c_void,
            iov_len: *length,
        })
        .collect();
    // SAFETY: `local` is `into`, which is borrowed for writing, and the kernel writes at most its length. The ranges of
    // the other process are only read, and the kernel checks them.
    let copied = unsafe {
        libc::process_vm_readv(
            tid as libc::pid_t,
            &raw const local,
            1,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    usize::try_from(copied).unwrap_or(0)
}

/// Whether the process may be read, by a read of one byte.
pub(super) fn try_read(tid: u32, address: u64) -> io::Result<()> {
    match read_ranges(tid, &[(address, 1)], &mut [0]) {
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts to trace a thread, without stopping it.
pub(super) fn seize(tid: u32) -> io::Result<()> {
    ptrace(libc::PTRACE_SEIZE, tid, 0)
}

/// Asks a traced thread to stop.
pub(super) fn interrupt(tid: u32) -> io::Result<()> {
    ptrace(libc::PTRACE_INTERRUPT, tid, 0)
}

/// Resumes a stopped thread, and delivers the signal that was pending for it.
pub(super) fn detach(tid: u32, signal: i32) -> io::Result<()> {
    ptrace(libc::PTRACE_DETACH, tid, signal as usize)
}

fn ptrace(request: libc::c_uint, tid: u32, data: usize) -> io::Result<()> {
    // SAFETY: these requests take numbers only, and pass no memory of this process.
    let result = unsafe {
        libc::ptrace(
            request as _,
            tid as libc::pid_t,
            std::ptr::null_mut::<libc::c_void>(),
            data as *mut libc::c_void,
        )
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Waits until a traced thread has stopped. Returns the signal that was pending for it, 0 if there was none. Returns
/// `None` if the thread has ended or did not stop within `patience`.
pub(super) fn wait_for_stop(tid: u32, patience: Duration) -> Option<i32> {
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: `status` is written by the call, and lives across it.
        let waited = unsafe {
            libc::waitpid(
                tid as libc::pid_t,
                &raw mut status,
                libc::__WALL | libc::WNOHANG,
            )
        };
        match waited {
            0 if start.elapsed() < patience => match start.elapsed() < Duration::from_millis(1) {
                true => std::thread::yield_now(),
                false => std::thread::sleep(Duration::from_micros(100)),
            },
            -1 | 0 => return None,
            _ if !libc::WIFSTOPPED(status) => return None,
            _ if status >> 16 == libc::PTRACE_EVENT_STOP => return Some(0),
            _ => return Some(libc::WSTOPSIG(status)),
        }
    }
}

/// The registers of a stopped thread.
#[cfg(target_arch = "x86_64")]
pub(super) fn registers(tid: u32) -> Option<Registers> {
    let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::uninit();
    // SAFETY: the kernel writes all of the structure, or fails.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGS,
            tid as libc::pid_t,
            std::ptr::null_mut::<libc::c_void>(),
            registers.as_mut_ptr(),
        )
    };
    if result == -1 {
        return None;
    }
    // SAFETY: the call has succeeded, so the kernel has written the whole structure.
    let registers = unsafe { registers.assume_init() };
    Some(Registers {
        pc: registers.rip,
        sp: registers.rsp,
        fp: registers.rbp,
        fs_base: registers.fs_base,
    })
}

/// Other processors are not supported; the command reports that before this call.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn registers(_: u32) -> Option<Registers> {
    None
}

/// The time of the clock of tokio's timers, in seconds and nanoseconds.
pub(super) fn monotonic() -> (i64, u32) {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is written by the call, and lives across it.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}
