//! The kernel's state of the threads of this process, from `/proc/self/task`.

use std::fmt;
use std::fs;
use std::io;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Activity {
    /// On a CPU, or waiting for one.
    Running,
    /// In a system call that a signal ends.
    Sleeping,
    /// In a system call that no signal ends: a disk or a network file system, mostly.
    Uninterruptible,
    /// Stopped by a debugger, or by `SIGSTOP`.
    Stopped,
    /// Ended, or ending.
    Ended,
    /// In a state whose letter is not known here.
    Other(char),
}

impl Activity {
    fn of(letter: char) -> Activity {
        match letter {
            'R' => Activity::Running,
            'S' | 'I' => Activity::Sleeping,
            'D' | 'K' | 'P' | 'W' => Activity::Uninterruptible,
            'T' | 't' => Activity::Stopped,
            'Z' | 'X' | 'x' => Activity::Ended,
            other => Activity::Other(other),
        }
    }
}

impl Activity {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Activity::Running => "running",
            Activity::Sleeping => "sleeping",
            Activity::Uninterruptible => "uninterruptible",
            Activity::Stopped => "stopped",
            Activity::Ended => "ended",
            Activity::Other(_) => "unknown",
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activity::Running => f.write_str("running"),
            Activity::Sleeping => f.write_str("asleep in the kernel"),
            Activity::Uninterruptible => f.write_str("in uninterruptible sleep"),
            Activity::Stopped => f.write_str("stopped"),
            Activity::Ended => f.write_str("at its end"),
            Activity::Other(letter) => write!(f, "in state {letter}"),
        }
    }
}

/// The used part of a thread's `/proc/self/task/TID/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadStatus {
    /// At most 15 bytes.
    pub(crate) name: String,
    pub(crate) activity: Activity,
    /// Bit `n - 1` is signal `n`.
    blocked: u64,
    pending: u64,
}

impl ThreadStatus {
    /// `None` if there is no such thread, or no `/proc`.
    pub(crate) fn of(tid: u32) -> Option<ThreadStatus> {
        ThreadStatus::read(tid).ok()?
    }

    /// `None` if there is no such thread.
    ///
    /// # Errors
    /// The system does not tell.
    pub(crate) fn read(tid: u32) -> io::Result<Option<ThreadStatus>> {
        match fs::read(format!("/proc/self/task/{tid}/status")) {
            Ok(text) => Ok(ThreadStatus::parse(&String::from_utf8_lossy(&text))),
            // The error for a thread that ends while the file is read.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<ThreadStatus> {
        let mut status = ThreadStatus {
            name: String::new(),
            activity: Activity::Other('?'),
            blocked: 0,
            pending: 0,
        };
        let mut known = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once(":\t") else {
                continue;
            };
            let set = || u64::from_str_radix(value.trim(), 16).ok();
            match key {
                "Name" => status.name = value.to_owned(),
                "State" => {
                    status.activity = Activity::of(value.chars().next()?);
                    known = true;
                }
                "SigPnd" => status.pending = set()?,
                "SigBlk" => status.blocked = set()?,
                _ => {}
            }
        }
        (known && status.activity != Activity::Ended).then_some(status)
    }

    /// Whether the thread blocks signal `number`.
    pub(crate) fn blocks(&self, number: i32) -> bool {
        has(self.blocked, number)
    }

    /// Whether signal `number` was sent to the thread and has not arrived.
    pub(crate) fn is_pending(&self, number: i32) -> bool {
        has(self.pending, number)
    }
}

/// The ids of the threads of this process, sorted; empty if the system does not tell.
pub(crate) fn ids() -> Vec<u32> {
    listed().unwrap_or_default()
}

/// The threads of this process, in order.
///
/// # Errors
/// The system does not tell.
pub(crate) fn listed() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc/self/task")?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The CPU time of a thread, in nanoseconds; `None` if the kernel was built without scheduler statistics.
pub(crate) fn cpu_ns(tid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The kernel's function in which a thread sleeps; `None` for a thread that runs, and if the kernel does not tell.
pub(crate) fn wait_channel(tid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/self/task/{tid}/wchan")).ok()?;
    let name = name.trim();
    (!matches!(name, "" | "0")).then(|| name.to_owned())
}

/// The numbers of `epoll_wait` and its like.
const EPOLL_WAITS: &[libc::c_long] = &[
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    libc::SYS_epoll_wait,
    #[cfg(target_os = "linux")]
    libc::SYS_epoll_pwait,
    #[cfg(target_os = "linux")]
    libc::SYS_epoll_pwait2,
];

/// The system call in which a thread sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sleep {
    number: libc::c_long,
    /// Of a futex its address.
    argument: u64,
    stack_pointer: u64,
}

impl Sleep {
    /// Whether it is in `epoll_wait`, under whatever number.
    pub(crate) fn waits_for_events(self) -> bool {
        EPOLL_WAITS.contains(&self.number)
    }

    /// `NUMBER ARGUMENT.. STACK_POINTER PC`, or `running`, or `-1 STACK_POINTER PC` outside of system calls.
    fn parse(text: &str) -> Option<Sleep> {
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let words: Option<Vec<u64>> = words
            .map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .collect();
        match *words? {
            [argument, .., stack_pointer, _pc] if number >= 0 => Some(Sleep {
                number,
                argument,
                stack_pointer,
            }),
            _ => None,
        }
    }
}

/// `None` for a thread that runs, and where the kernel does not tell.
pub(crate) fn sleep(tid: u32) -> Option<Sleep> {
    Sleep::parse(&fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?)
}

fn has(signals: u64, number: i32) -> bool {
    (1..=64).contains(&number) && signals >> (number - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let text = "Name:\ttokio-rt-worker\nUmask:\t0022\nState:\tS (sleeping)\nSigPnd:\t0000000000000000\n\
                    ShdPnd:\t0000000000000000\nSigBlk:\t4000000000000000\nSigIgn:\t0000000000001000\n";
        let status = ThreadStatus::parse(text).unwrap();
        assert_eq!(status.name, "tokio-rt-worker");
        assert_eq!(status.activity, Activity::Sleeping);
        assert!(status.blocks(63) && !status.blocks(64) && !status.blocks(0));
        assert!(!status.is_pending(63));
        assert_eq!(ThreadStatus::parse("State:\tX (dead)\n"), None);
        assert_eq!(ThreadStatus::parse("Name:\tx\n"), None);
        assert_eq!(ThreadStatus::parse(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_sleep_is_read() {
        let futex = "202 0x7f01 0x80 0x0 0x0 0x0 0x0 0x7ffd10 0x7f02\n";
        let sleep = Sleep::parse(futex).unwrap();
        assert_eq!(sleep.argument, 0x7f01);
        assert_eq!(sleep.stack_pointer, 0x7f_fd10);
        assert!(!sleep.waits_for_events());
        let number = libc::SYS_epoll_pwait;
        let epoll = Sleep::parse(&format!(
            "{number} 0x3 0x0 0x0 0x0 0x0 0x8 0x7ffd10 0x7f02\n"
        ));
        assert!(epoll.unwrap().waits_for_events());
        for none in [
            "running\n",
            "-1 0x7ffd10 0x7f02\n",
            "",
            "202\n",
            "202 x y z\n",
        ] {
            assert_eq!(Sleep::parse(none), None, "{none}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_thread_runs_and_blocks_nothing() {
        let status = ThreadStatus::of(crate::sys::thread::id()).unwrap();
        assert_eq!(status.activity, Activity::Running);
        assert!(!(1..=64).any(|number| status.blocks(number)));
        assert_eq!(ThreadStatus::of(u32::MAX), None);
        let own = crate::sys::thread::id();
        assert!(ids().contains(&own));
        // The kernel adds the time up when the thread leaves its CPU.
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(cpu_ns(own).is_none_or(|ns| ns > 0));
    }
}
