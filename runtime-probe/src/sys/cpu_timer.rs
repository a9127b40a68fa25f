//! Timers on the CPU time of one thread, and the kernel's figures of CPU time.
//!
//! A timer on a thread's own clock sends its signal to that very thread while it runs: threads that wait cost nothing,
//! and each one is sampled by its own use of the CPU. Rejected: `setitimer(ITIMER_PROF)`, which has one clock for all
//! threads: the kernel chooses the interrupted thread, and with many threads it misses points. Rejected:
//! `perf_event_open`, which is finer, but forbidden in most containers.
//!
//! The kernel checks these timers at its tick: periods shorter than [`tick`] give no more points, only larger overruns.

use std::io;
use std::time::Duration;

/// A timer that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct CpuTimer(#[expect(dead_code, reason = "it runs until it is dropped")] imp::Timer);

impl CpuTimer {
    /// Sends `signal`, with `value`, to a thread of this process each time it has used `period` more of the CPU, first after
    /// `first`. The thread need not be the calling one.
    ///
    /// # Errors
    /// The kernel's: the thread has ended, or the user has too many timers (`RLIMIT_SIGPENDING`): from its creation on each counts as
    /// a waiting signal, over all processes of the user. Elsewhere than on Linux [`io::ErrorKind::Unsupported`].
    pub(crate) fn start(
        tid: u32,
        signal: i32,
        value: usize,
        first: Duration,
        period: Duration,
    ) -> io::Result<CpuTimer> {
        imp::start(tid, signal, value, first, period).map(CpuTimer)
    }
}

/// CPU time used by this process, in nanoseconds, its ended threads included.
pub(crate) fn process_cpu_ns() -> u64 {
    imp::process_cpu_ns()
}

/// How long the kernel's clock tick is.
pub(crate) fn tick() -> Duration {
    imp::tick()
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "POSIX timers have no safe wrapper in std")]
mod imp {
    use std::io;
    use std::mem::MaybeUninit;
    use std::time::Duration;

    /// The kernel's number of the timer.
    #[derive(Debug)]
    pub(super) struct Timer(libc::timer_t);

    // SAFETY: a number that any thread of the process may use; libc types it as a pointer.
    unsafe impl Send for Timer {}

    impl Drop for Timer {
        fn drop(&mut self) {
            // SAFETY: from timer_create, and deleted once.
            unsafe { libc::timer_delete(self.0) };
        }
    }

    pub(super) fn start(
        tid: u32,
        signal: i32,
        value: usize,
        first: Duration,
        period: Duration,
    ) -> io::Result<Timer> {
        // SAFETY: a plain C structure, for which zeros are a value.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = tid as i32;
        event.sigev_value.sival_ptr = std::ptr::without_provenance_mut(value);
        let mut timer = MaybeUninit::uninit();
        // SAFETY: both pointers are valid; `timer` is initialized when the call returns 0, and read only then.
        let timer = unsafe {
            if libc::timer_create(clock_of(tid), &mut event, timer.as_mut_ptr()) != 0 {
                return Err(explained(io::Error::last_os_error()));
            }
            Timer(timer.assume_init())
        };
        let spec = libc::itimerspec {
            it_interval: timespec(period),
            // 0 would disarm it.
            it_value: timespec(first.max(Duration::from_nanos(1))),
        };
        // SAFETY: a timer of ours, and a valid structure.
        if unsafe { libc::timer_settime(timer.0, 0, &spec, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(timer)
    }

    /// The system's words for it ("Resource temporarily unavailable") name no limit.
    fn explained(error: io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => io::Error::new(
                error.kind(),
                "no room for more timers: they count as waiting signals of the user, all its processes summed (`ulimit -i`)",
            ),
            _ => error,
        }
    }

    /// The clock of a thread's CPU time, as the kernel numbers it: the thread's id inverted, above three bits that say
    /// "of a thread, by the scheduler's account". `pthread_getcpuclockid` makes the same number; it takes a
    /// `pthread_t`, which is not known of a thread that other code created.
    fn clock_of(tid: u32) -> libc::clockid_t {
        const OF_A_THREAD_BY_THE_SCHEDULER: i32 = 0b110;
        !(tid as i32) << 3 | OF_A_THREAD_BY_THE_SCHEDULER
    }

    pub(super) fn process_cpu_ns() -> u64 {
        let mut time = timespec(Duration::ZERO);
        // SAFETY: a valid pointer; with this clock the call cannot fail.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        duration(time).as_nanos() as u64
    }

    pub(super) fn tick() -> Duration {
        let mut time = timespec(Duration::ZERO);
        // SAFETY: a valid pointer. The coarse clock moves with the tick, so its resolution is the tick's length.
        unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
        duration(time)
    }

    fn timespec(time: Duration) -> libc::timespec {
        libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: time.subsec_nanos() as libc::c_long,
        }
    }

    fn duration(time: libc::timespec) -> Duration {
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Timer;

    pub(super) fn start(_: u32, _: i32, _: usize, _: Duration, _: Duration) -> io::Result<Timer> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn process_cpu_ns() -> u64 {
        0
    }

    pub(super) fn tick() -> Duration {
        Duration::from_millis(10)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_ended_gets_no_timer() {
        let tid = std::thread::spawn(crate::sys::thread::id).join().unwrap();
        // A joined thread leaves the kernel's list a moment later.
        let ended = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            let second = Duration::from_secs(1);
            CpuTimer::start(tid, libc::SIGURG, 0, second, second).is_err()
        });
        assert!(ended);
    }

    #[test]
    fn without_room_for_timers_the_limit_is_named() {
        let name = "sys::cpu_timer::tests::without_room_for_timers_the_limit_is_named";
        if std::env::var_os("NO_ROOM").is_none() {
            let status = std::process::Command::new("bash")
                .args(["-c", "ulimit -i 0; exec \"$0\" --exact \"$1\""])
                .args([std::env::current_exe().unwrap().as_os_str(), name.as_ref()])
                .env("NO_ROOM", "1")
                .status();
            assert!(status.unwrap().success());
            return;
        }
        let second = Duration::from_secs(1);
        let error = CpuTimer::start(crate::sys::thread::id(), libc::SIGURG, 0, second, second);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("`ulimit -i`"), "{text}");
    }

    #[test]
    fn cpu_time_grows_and_the_tick_is_one_of_the_kernels() {
        let before = process_cpu_ns();
        while process_cpu_ns() == before {}
        // CONFIG_HZ is between 100 and 1000.
        assert!((1..=10).contains(&tick().as_millis()), "{:?}", tick());
    }
}
