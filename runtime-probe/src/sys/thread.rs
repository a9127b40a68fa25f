//! This thread: its kernel id, the bounds of its stack.

use std::ops::Range;

/// Kernel thread id; 0 if the system has none.
pub(crate) fn id() -> u32 {
    imp::id()
}

/// Whether this is the thread that the process began with. Async-signal-safe.
pub(crate) fn is_main() -> bool {
    id() == std::process::id()
}

/// Where this thread's own stack lies. A stack pointer outside of it belongs to a stack that a library switched to
/// (coroutine libraries, stacker). Costs a system call or two: call it once per thread.
pub(crate) fn stack_bounds() -> Option<Range<usize>> {
    imp::stack_bounds()
}

/// Lowers this thread's priority from now on: if there are too few CPUs, other threads of the process run first.
#[cfg(feature = "decode")]
pub(crate) fn lower_priority() {
    imp::lower_priority();
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "pthread_getattr_np and gettid have no safe wrapper in std"
)]
mod imp {
    use std::ops::Range;

    pub(super) fn id() -> u32 {
        // SAFETY: gettid has no preconditions and cannot fail.
        (unsafe { libc::gettid() }) as u32
    }

    #[cfg(feature = "decode")]
    pub(super) fn lower_priority() {
        const NICE: libc::c_int = 5;
        // SAFETY: takes numbers only. On Linux the 0 stands for the calling thread, not for its process. A failure (a
        // sandbox that forbids it) leaves the priority as it was.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    }

    pub(super) fn stack_bounds() -> Option<Range<usize>> {
        // The C library reads the bounds of the main thread's stack from `/proc/self/maps`.
        told_bounds().or_else(|| super::is_main().then(main_bounds).flatten())
    }

    fn told_bounds() -> Option<Range<usize>> {
        let mut attr = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
        // SAFETY: asks for the attributes of this very thread; `attr` is initialized when the call returns 0, is read
        // only then, and is destroyed exactly once.
        unsafe {
            if libc::pthread_getattr_np(libc::pthread_self(), attr.as_mut_ptr()) != 0 {
                return None;
            }
            let (mut low, mut size) = (std::ptr::null_mut(), 0usize);
            let failed = libc::pthread_attr_getstack(attr.as_ptr(), &mut low, &mut size) != 0;
            libc::pthread_attr_destroy(attr.as_mut_ptr());
            (!failed).then(|| low as usize..(low as usize).saturating_add(size))
        }
    }

    /// The bounds of the main thread's stack without `/proc`. The kernel puts the program's name above all frames, and maps nothing
    /// else within the limit of the stack below it.
    pub(super) fn main_bounds() -> Option<Range<usize>> {
        /// With an unlimited stack other mappings are at least so far below its end.
        const LEAST_GAP: libc::rlim_t = 128 << 20;
        let mut limit = std::mem::MaybeUninit::<libc::rlimit>::uninit();
        // SAFETY: takes a number and returns one; then fills `limit`, which is read only if the call returns 0.
        let (top, limit) = unsafe {
            let top = libc::getauxval(libc::AT_EXECFN) as usize;
            if top == 0 || libc::getrlimit(libc::RLIMIT_STACK, limit.as_mut_ptr()) != 0 {
                return None;
            }
            (top, limit.assume_init().rlim_cur.min(LEAST_GAP))
        };
        Some(top.saturating_sub(limit as usize)..top)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn id() -> u32 {
        0
    }
    #[cfg(feature = "decode")]
    pub(super) fn lower_priority() {}
    pub(super) fn stack_bounds() -> Option<std::ops::Range<usize>> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_local_lies_within_the_bounds() {
        let local = 0u8;
        assert!(
            super::stack_bounds()
                .unwrap()
                .contains(&((&raw const local) as usize))
        );
        let other = std::thread::spawn(|| super::stack_bounds().unwrap())
            .join()
            .unwrap();
        assert!(!other.contains(&((&raw const local) as usize)));
    }

    #[test]
    fn the_main_threads_stack_is_known_without_proc() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let (begin, rest) = stack.split_once('-').unwrap();
        let end = rest.split(' ').next().unwrap();
        let [begin, end] = [begin, end].map(|at| usize::from_str_radix(at, 16).unwrap());
        let known = super::imp::main_bounds().unwrap();
        assert!(known.start <= begin && begin < known.end && known.end <= end);
        let lowest = maps.lines().filter(|line| *line != stack);
        let in_between =
            lowest.filter_map(|line| usize::from_str_radix(line.split_once('-')?.0, 16).ok());
        assert!(
            in_between.into_iter().all(|other| !known.contains(&other)),
            "{maps}"
        );
    }
}
