//! The C function `syscall`, ours in place of libc's. `std`'s locks, condition variables and `park`, and parking_lot's,
//! wait through it, so their waits can be timed here. Every other call is passed on as it is.
//!
//! Linking this object defines the symbol for the program. libc's own calls, and those of shared libraries, do not pass
//! through here.
//!
//! One call differs from libc's: `SYS_clone` with a stack. Its second return is onto a stack without this function's
//! frame; libc's function has no frame.
//!
//! MUST: the result and `errno` are the kernel's, whatever the watcher does; and a wait that neither a profile nor a
//! trace asks about costs three comparisons.

use crate::clock::{self, Ticks};
use std::ffi::{c_int, c_long};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is called around a wait, on the thread that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watcher {
    /// Before the wait, with the time. Returns whether the end is to be told, however the call ends. It MUST NOT lock,
    /// allocate or wait: the thread is already in the queue of a lock, which may be the allocator's.
    pub(crate) begins: fn(Ticks) -> bool,
    pub(crate) ends: fn(&Wait),
}

/// A wait that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) began: Ticks,
    pub(crate) ended: Ticks,
    pub(crate) end: End,
    /// What [`Watcher::begins`] returned.
    pub(crate) is_begun: bool,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The thread waited, and is in no queue any more.
    Waited,
    /// No other thread ended the wait, and the thread is still in parking_lot's own queue, since parking_lot waits with
    /// `FUTEX_WAIT`. The watcher MUST NOT lock, allocate or wait.
    InQueue,
    /// The value had changed before: no wait. The watcher MUST NOT lock, allocate or wait, as in the case before.
    AtOnce,
}

impl End {
    fn of(result: isize, operation: c_int) -> Self {
        match result {
            0 => End::Waited,
            _ if result == -(libc::EAGAIN as isize) => End::AtOnce,
            _ if operation == libc::FUTEX_WAIT_BITSET => End::Waited,
            _ => End::InQueue,
        }
    }
}

static WATCHER: OnceLock<Watcher> = OnceLock::new();
static WATCHED: AtomicBool = AtomicBool::new(false);

/// Sets the watcher. Only the first call counts. It also makes sure that the linker takes the symbol from here.
pub(crate) fn install(watcher: Watcher) {
    let symbol = syscall as unsafe extern "C" fn(_, _, _, _, _, _, _) -> _;
    std::hint::black_box(symbol);
    WATCHER.get_or_init(|| watcher);
}

/// Whether the watcher is called.
pub(crate) fn set_watched(watched: bool) {
    WATCHED.store(watched, Ordering::Relaxed);
}

/// The highest `errno`: the kernel returns its negative.
const MOST_ERRNO: isize = 4095;

/// As libc's.
///
/// libc's takes any number of arguments. Both architectures pass the first seven words in the same places for a
/// variadic function as for this one. A word that the caller did not pass is read from a register, or from the caller's
/// own frame, and the kernel ignores it.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "makes system calls")]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let arguments = [a, b, c, d, e, f];
    let operation = b as c_int & libc::FUTEX_CMD_MASK;
    let is_wait = number == libc::SYS_futex
        && matches!(operation, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET);
    let result = if is_wait && WATCHED.load(Ordering::Relaxed) {
        let began = clock::ticks();
        let watcher = WATCHER.get();
        let is_begun = watcher.is_some_and(|watcher| (watcher.begins)(began));
        // SAFETY: the caller's system call.
        let result = unsafe { call(number, arguments) };
        let end = End::of(result, operation);
        if (is_begun || end == End::Waited)
            && let Some(watcher) = watcher
        {
            let wait = Wait {
                began,
                ended: clock::ticks(),
                end,
                is_begun,
            };
            // SAFETY: the thread's own `errno`, which a call that succeeds leaves alone.
            unsafe {
                let errno = *libc::__errno_location();
                (watcher.ends)(&wait);
                *libc::__errno_location() = errno;
            }
        }
        result
    } else {
        // SAFETY: the caller's system call.
        unsafe { call(number, arguments) }
    };
    if (-MOST_ERRNO..0).contains(&result) {
        // SAFETY: the thread's own `errno`.
        unsafe { *libc::__errno_location() = -result as c_int };
        return -1;
    }
    result as c_long
}

/// The system call itself; negative for an error.
///
/// # Safety
/// As for the system call.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "makes a system call")]
unsafe fn call(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's convention; it overwrites rcx and r11, and the memory that the call names.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// The system call itself; negative for an error.
///
/// # Safety
/// As for the system call.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
#[expect(unsafe_code, reason = "makes a system call")]
unsafe fn call(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's convention; it keeps all other registers.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}
