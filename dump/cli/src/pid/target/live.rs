//! A living process of this machine.

use super::{Mapping, Registers, Thread, sys};
use crate::pid::refusal::Refusal;
use crate::show::style::printable;
use runtime_dump_decode::Memory;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The longest wait for the threads to stop. A thread that waits for a disk or a device, or starts a program, may take longer,
/// and is left out.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most processes in an error message.
const MOST_CHILDREN: usize = 8;

/// A process, by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// A thread that has not ended. A thread that has ended has no memory, no program and no root directory any more, and
    /// `/proc/PID` has those of the first thread.
    pub(crate) thread: u32,
}

impl Process {
    /// Fails if the process does not exist, or if `/proc` has the numbers of another PID namespace than the system calls
    /// of this command. Otherwise the command would read the maps of one process and the memory of another.
    pub(crate) fn find(pid: u32) -> Result<Self, Refusal> {
        if !Path::new("/proc/self").exists() || numbers("/proc/self/status").len() > 1 {
            return Err(Refusal::OtherProc(pid));
        }
        let mut process = Self { pid, thread: pid };
        if !process.path("").exists() {
            return Err(Refusal::Gone(pid));
        }
        if has_ended(pid, pid) {
            let alive = process.tids()?.into_iter().find(|tid| is_alive(pid, *tid));
            process.thread = alive.unwrap_or(pid);
        }
        Ok(process)
    }

    /// The file of the program, readable also after it was deleted or replaced.
    pub(crate) fn program(self) -> PathBuf {
        self.path("exe")
    }

    /// The path of the program.
    pub(crate) fn program_name(self) -> Result<PathBuf, Refusal> {
        fs::read_link(self.program()).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => self.denied(),
            // The kernel's own threads have no program.
            ErrorKind::NotFound if self.path("").exists() => Refusal::NoProgram(self.pid),
            _ => Refusal::Gone(self.pid),
        })
    }

    /// The processes that this one has started and that run, with their names: the first [`MOST_CHILDREN`].
    pub(crate) fn children(self) -> Vec<(u32, String)> {
        // Each thread has a list of those that it has started.
        let tids = self.tids().unwrap_or_default().into_iter();
        let lists = tids.filter_map(|tid| {
            fs::read_to_string(format!("/proc/{}/task/{tid}/children", self.pid)).ok()
        });
        let pids: Vec<u32> = lists
            .flat_map(|list| {
                let pids = list.split_whitespace();
                pids.filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
            })
            .collect();
        let named = pids.into_iter().filter_map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            Some((pid, printable(name.trim_end())))
        });
        named.take(MOST_CHILDREN).collect()
    }

    /// The path for this command of a file that the process sees at `path`. In a container the process has a root of its
    /// own, and another file may be at that path outside.
    pub(crate) fn file(self, path: &str) -> PathBuf {
        if self.has_our_mounts() {
            return path.into();
        }
        let mut inside = self.path("root").into_os_string();
        inside.push(path);
        inside.into()
    }

    /// The path for this command of a mapped file. A file that was deleted or replaced since is read through its mapping,
    /// which needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; the file that is at its path now may be of another build.
    pub(crate) fn mapped_file(self, mapping: &Mapping) -> PathBuf {
        let path = self.file(&mapping.path);
        if !mapping.path.ends_with(DELETED) && path.exists() {
            return path;
        }
        self.path(&format!("map_files/{:x}-{:x}", mapping.start, mapping.end))
    }

    /// Whether paths mean the same for the process and for this command.
    fn has_our_mounts(self) -> bool {
        let own = fs::read_link("/proc/self/ns/mnt").ok();
        own.is_some() && own == fs::read_link(self.path("ns/mnt")).ok()
    }

    /// The id of a thread as the process itself sees it. In a container it is another one than outside.
    pub(crate) fn tid_inside(self, tid: u32) -> u32 {
        let numbers = numbers(&format!("/proc/{}/task/{tid}/status", self.pid));
        numbers.last().copied().unwrap_or(tid)
    }

    /// The mappings of the address space.
    pub(crate) fn mappings(self) -> Result<Vec<Mapping>, Refusal> {
        let text = fs::read_to_string(self.path("maps")).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => self.denied(),
            _ => Refusal::Gone(self.pid),
        })?;
        Ok(text.lines().filter_map(mapping).collect())
    }

    /// The address of the program headers in memory.
    pub(crate) fn program_headers(self) -> Result<u64, Refusal> {
        let bytes = fs::read(self.path("auxv")).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => self.denied(),
            _ => Refusal::Gone(self.pid),
        })?;
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
            .collect();
        let found = words.chunks_exact(2).find(|pair| pair[0] == libc::AT_PHDR);
        found
            .map(|pair| pair[1])
            .ok_or(Refusal::NoProgram(self.pid))
    }

    /// Fails if the kernel does not allow to read the memory.
    pub(crate) fn check_readable(self, address: u64) -> Result<(), Refusal> {
        match sys::try_read(self.thread, address) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(self.denied()),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(Refusal::Gone(self.pid)),
            _ => Ok(()),
        }
    }

    /// The running threads. Their registers are unknown.
    pub(crate) fn threads(self) -> Result<Vec<Thread>, Refusal> {
        let thread = |tid| about(self.pid, tid).thread(tid, None);
        Ok(self.tids()?.into_iter().map(thread).collect())
    }

    /// Stops all threads until the result is dropped. If this process ends before, the kernel resumes them.
    ///
    /// The tracer is a thread of its own, because a thread that did not stop cannot be detached: the kernel releases it when its
    /// tracer ends. A thread that stays traced stops later, for as long as this process runs, and cannot be traced a second time.
    pub(crate) fn stop(self) -> Result<Stopped, Refusal> {
        let (tell, told) = mpsc::channel();
        let (hold, held) = mpsc::channel();
        let tracer = thread::spawn(move || {
            let mut traced = Traced::default();
            let result = self.trace(&mut traced);
            let _ = tell.send(result.map(|()| (traced.threads(), traced.since)));
            let _ = held.recv();
        });
        let mut stopped = Stopped {
            threads: Vec::new(),
            since: None,
            hold: Some(hold),
            tracer: Some(tracer),
        };
        (stopped.threads, stopped.since) =
            told.recv().expect("the tracer sends before it waits")?;
        Ok(stopped)
    }

    fn trace(self, traced: &mut Traced) -> Result<(), Refusal> {
        // A running thread may create others, so the list is read until it has no new threads.
        loop {
            let new: Vec<u32> = self
                .tids()?
                .into_iter()
                .filter(|tid| traced.threads.iter().all(|thread| thread.tid != *tid))
                .collect();
            if new.is_empty() {
                return Ok(());
            }
            let abouts: Vec<About> = new.iter().map(|tid| about(self.pid, *tid)).collect();
            let mut seized = Vec::new();
            let begin = Instant::now();
            traced.since.get_or_insert(begin);
            for (tid, about) in new.into_iter().zip(abouts) {
                match sys::seize(tid).and_then(|()| sys::interrupt(tid)) {
                    Ok(()) => seized.push(tid),
                    // The kernel refuses to trace such a thread, too.
                    Err(_) if has_ended(self.pid, tid) => {}
                    Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                        return Err(self.traced().unwrap_or_else(|| self.denied()));
                    }
                    // The thread has ended meanwhile.
                    Err(_) => {}
                }
                traced.threads.push(TracedThread {
                    tid,
                    signal: None,
                    about,
                });
            }
            for thread in &mut traced.threads {
                if seized.contains(&thread.tid) {
                    let patience = PATIENCE.saturating_sub(begin.elapsed());
                    thread.signal = sys::wait_for_stop(thread.tid, patience);
                }
            }
        }
    }

    fn tids(self) -> Result<Vec<u32>, Refusal> {
        let entries = fs::read_dir(format!("/proc/{}/task", self.pid))
            .map_err(|_| Refusal::Gone(self.pid))?;
        let mut tids: Vec<u32> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        tids.sort_unstable();
        Ok(tids)
    }

    /// The refusal if another debugger traces the process.
    fn traced(self) -> Option<Refusal> {
        let by = tracer_of(self.path("status"))?;
        Some(Refusal::Traced { pid: self.pid, by })
    }

    fn denied(self) -> Refusal {
        if let Some(traced) = self.traced() {
            return traced;
        }
        let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
        let yama = yama.and_then(|scope| scope.trim().parse().ok());
        // The value 3 binds root, too.
        if yama != Some(3) && self.is_undumpable() == Some(true) {
            return Refusal::Undumpable(self.pid);
        }
        Refusal::Denied {
            pid: self.pid,
            // The value 0 adds no restriction to the kernel's own.
            yama: yama.filter(|scope| *scope > 0),
        }
    }

    /// Whether the files of the process belong to another user than its own: to root, as it may not be dumped.
    fn is_undumpable(self) -> Option<bool> {
        let owner = fs::metadata(self.path("status")).ok()?.uid();
        let status = fs::read_to_string(self.path("status")).ok()?;
        let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        // Real, effective, saved, and that of file accesses.
        let effective: u32 = users.split_whitespace().nth(1)?.parse().ok()?;
        Some(owner != effective)
    }

    fn path(self, name: &str) -> PathBuf {
        // The folder `task/TID` has no `map_files`.
        PathBuf::from(format!("/proc/{}/{name}", self.thread))
    }
}

/// The memory of the running process at the time of each read.
impl Memory for Process {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        sys::read_ranges(self.thread, &[(address, into.len())], into) == into.len()
    }
}

/// What the kernel appends to the path of a file that was deleted or replaced.
pub(crate) const DELETED: &str = " (deleted)";

/// The ids of a process or thread: by the PID namespace of `/proc`, and by each namespace inside it down to its own.
/// Empty if the file is missing, or the kernel has no PID namespaces.
fn numbers(status: &str) -> Vec<u32> {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers = line.unwrap_or_default().split_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Stopped threads.
#[derive(Debug)]
pub(crate) struct Stopped {
    threads: Vec<Thread>,
    /// The time when the first thread was asked to stop.
    since: Option<Instant>,
    /// The tracer resumes the threads when this is dropped.
    hold: Option<mpsc::Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

/// The threads that a thread of this process traces.
#[derive(Debug, Default)]
struct Traced {
    threads: Vec<TracedThread>,
    since: Option<Instant>,
}

#[derive(Debug)]
struct TracedThread {
    tid: u32,
    /// The signal to deliver when the thread resumes, 0 for none. `None` if the thread did not stop.
    signal: Option<i32>,
    about: About,
}

/// The kernel's information on a thread.
#[derive(Clone, Debug)]
struct About {
    name: String,
    state: &'static str,
    cpu_ns: Option<u64>,
}

impl About {
    fn thread(self, tid: u32, registers: Option<Registers>) -> Thread {
        Thread {
            tid,
            name: self.name,
            no_name: None,
            state: self.state,
            cpu_ns: self.cpu_ns,
            registers,
        }
    }
}

fn about(pid: u32, tid: u32) -> About {
    let read = |name| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}")).ok();
    About {
        name: read("comm").unwrap_or_default().trim_end().to_owned(),
        state: match state(pid, tid) {
            Some('R') => "running",
            Some('S') => "sleeping",
            Some('D') => "disk sleep",
            Some('T' | 't') => "stopped",
            Some(ZOMBIE | DEAD) => "ended",
            _ => "unknown",
        },
        cpu_ns: read("schedstat").and_then(|text| text.split(' ').next()?.parse().ok()),
    }
}

/// The kernel's letters for a thread that has ended.
const ZOMBIE: char = 'Z';
const DEAD: char = 'X';

/// Whether a thread has ended. The kernel keeps the first thread of a process until all threads have ended.
fn has_ended(pid: u32, tid: u32) -> bool {
    matches!(state(pid, tid), Some(ZOMBIE | DEAD))
}

/// Whether a thread is known not to have ended. A thread that has left `/proc` meanwhile has no state.
fn is_alive(pid: u32, tid: u32) -> bool {
    state(pid, tid).is_some_and(|state| !matches!(state, ZOMBIE | DEAD))
}

/// The kernel's letter for the state of a thread.
fn state(pid: u32, tid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    // The name is in parentheses, and may contain parentheses.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The id of the tracer in a `status` file.
fn tracer_of(status: impl AsRef<Path>) -> Option<u32> {
    let status = fs::read_to_string(status).ok()?;
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"))?;
    tracer.trim().parse().ok().filter(|by| *by != 0)
}

impl Stopped {
    /// The threads with their registers.
    pub(crate) fn threads(&self) -> Vec<Thread> {
        self.threads.clone()
    }

    /// Resumes the threads. Returns how long they were stopped.
    pub(crate) fn release(self) -> Duration {
        let since = self.since;
        drop(self);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.hold = None;
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
        // The kernel releases the threads that did not stop shortly after the tracer can be joined.
        let begin = Instant::now();
        let left_out = |thread: &&Thread| thread.registers.is_none();
        for thread in self.threads.iter().filter(left_out) {
            while tracer_of(format!("/proc/{}/status", thread.tid)).is_some()
                && begin.elapsed() < PATIENCE
            {
                thread::sleep(Duration::from_micros(100));
            }
        }
    }
}

impl Traced {
    fn threads(&self) -> Vec<Thread> {
        let thread = |thread: &TracedThread| {
            let registers = thread.signal.and_then(|_| sys::registers(thread.tid));
            thread.about.clone().thread(thread.tid, registers)
        };
        self.threads.iter().map(thread).collect()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        for thread in &self.threads {
            if let Some(signal) = thread.signal {
                let _ = sys::detach(thread.tid, signal);
            }
        }
    }
}

/// The time of the clock of tokio's timers.
pub(crate) fn monotonic() -> (i64, u32) {
    sys::monotonic()
}

/// Parses a line of `/proc/PID/maps`.
fn mapping(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let trimmed = rest.trim_start();
        let end = trimmed.find(' ').unwrap_or(trimmed.len());
        let (word, behind) = trimmed.split_at(end);
        rest = behind;
        word
    };
    let (range, flags, offset, _device, inode) = (word(), word(), word(), word(), word());
    let (start, end) = range.split_once('-')?;
    let path = rest.trim_start();
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        executable: flags.contains('x'),
        is_data: flags.starts_with("rw") && flags.ends_with('p') && inode == "0",
        path: if path.starts_with('/') {
            path.to_owned()
        } else {
            String::new()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_gone_is_not_alive() {
        let own = std::process::id();
        assert!(is_alive(own, own));
        // No thread has this id, which is above the kernel's limit.
        assert!(!is_alive(own, u32::MAX));
    }

    #[test]
    fn maps_are_read() {
        let heap = mapping("7f00-8f00 rw-p 00000000 00:00 0          [heap]").unwrap();
        assert!(heap.is_data && heap.path.is_empty() && (heap.start, heap.end) == (0x7f00, 0x8f00));
        let text = mapping("10-20 r-xp 00001000 fe:00 17    /srv/my app (deleted)").unwrap();
        assert!(text.executable && !text.is_data);
        assert_eq!(
            (text.path.as_str(), text.offset),
            ("/srv/my app (deleted)", 0x1000)
        );
        assert_eq!(mapping("nonsense"), None);
    }
}
