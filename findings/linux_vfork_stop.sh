#!/usr/bin/env bash
# Linux 6.18 (seen): stopping, and signalling, a thread that has started a program by vfork or posix_spawn.
#
# Guess: PTRACE_INTERRUPT stops a thread within microseconds, also inside a system call, unless it waits for a disk. A signal interrupts
# whatever the thread waits for, or runs after the call.
# Reality: until the child has run `execve` or ended, the parent's thread neither stops nor takes a signal, and is shown as in disk sleep (D).
# `std::process::Command` and tokio's start programs so. A thread in it whose child takes 2 s before it ends, and a thread in `pause`:
#
#                                        `pause`     start of a program
#     state in /proc/PID/task/TID/stat   S           D
#     stopped by PTRACE_INTERRUPT after  0.00 s      1.9 s
#     handler of a signal runs after     0.00 s      1.9 s
#
# Other threads of the process stop and take signals as ever. SIGKILL ends it at once.
#
# Why it matters: the execve reads the program from its file system, and on one that is slow or overloaded it takes seconds. A debugger or
# dump that waits for all threads keeps all others standing still so long; a sampler by signals has no sample of that thread and one
# late one. A reader of "D" looks for a disk of the server's own. Wait for all threads together, with a limit, and go on without these.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_vfork_stop.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

uname -sr
mkdir -p started/src
cat > started/Cargo.toml <<'TOML'
[package]
name = "started"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
[workspace]
TOML
cat > started/src/main.rs <<'RS'
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, ptr, thread};

static THREADS: [AtomicI32; 2] = [AtomicI32::new(0), AtomicI32::new(0)];
static HANDLED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

fn tid() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

extern "C" fn handler(_: i32) {
    for (thread, handled) in THREADS.iter().zip(&HANDLED) {
        if thread.load(Ordering::SeqCst) == tid() {
            handled.store(now_ns(), Ordering::SeqCst);
        }
    }
}

/// As a child of posix_spawn: it has the parent's memory, and the parent waits until it has started a program or ended.
extern "C" fn child(_: *mut c_void) -> i32 {
    let wait = libc::timespec { tv_sec: 2, tv_nsec: 0 };
    // SAFETY: the call reads `wait`.
    unsafe { libc::nanosleep(&raw const wait, ptr::null_mut()) };
    0
}

fn pauses() {
    THREADS[0].store(tid(), Ordering::SeqCst);
    loop {
        // SAFETY: no arguments.
        unsafe { libc::pause() };
    }
}

fn starts() {
    THREADS[1].store(tid(), Ordering::SeqCst);
    let stack = Box::leak(vec![0_u128; 4096].into_boxed_slice());
    // SAFETY: the child has a stack of its own, touches no memory of this process, and ends while this thread waits.
    let child = unsafe { libc::clone(child, stack.as_mut_ptr_range().end.cast(), libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, ptr::null_mut()) };
    assert!(child > 0);
    thread::sleep(Duration::from_secs(60));
}

/// The process that is looked at: its two threads.
fn target() -> i32 {
    // SAFETY: the handler stores numbers only.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as usize) };
    thread::spawn(pauses);
    thread::spawn(starts);
    while THREADS.iter().any(|thread| thread.load(Ordering::SeqCst) == 0) {
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(100));
    // SAFETY: no arguments.
    unsafe { libc::getpid() }
}

fn seconds(since: Instant) -> String {
    format!("{:.2}", since.elapsed().as_secs_f32())
}

fn main() {
    if std::env::args().nth(1).is_some_and(|word| word == "target") {
        target();
        println!("{} {}", THREADS[0].load(Ordering::SeqCst), THREADS[1].load(Ordering::SeqCst));
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let program = std::env::current_exe().unwrap();
    let mut other = std::process::Command::new(program).arg("target").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(other.stdout.take().unwrap()), &mut line).unwrap();
    for (name, thread) in ["pause", "start"].into_iter().zip(line.split_whitespace()) {
        let thread: i32 = thread.parse().unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/task/{thread}/stat", other.id())).unwrap();
        let state = stat.rsplit_once(") ").unwrap().1.chars().next().unwrap();
        let start = Instant::now();
        // SAFETY: numbers, and `status`, which is written.
        unsafe {
            assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0), 0, "{}", std::io::Error::last_os_error());
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, thread, 0, 0), 0);
            let mut status = 0;
            assert_eq!(libc::waitpid(thread, &raw mut status, libc::__WALL), thread);
            assert_eq!(libc::ptrace(libc::PTRACE_DETACH, thread, 0, 0), 0);
        }
        println!("{name} state {state} stopped_after {}", seconds(start));
    }
    other.kill().unwrap();
    other.wait().unwrap();

    let process = target();
    let sent = now_ns();
    for thread in &THREADS {
        // SAFETY: numbers only.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread.load(Ordering::SeqCst), libc::SIGUSR1) };
    }
    thread::sleep(Duration::from_secs(3));
    for (name, handled) in ["pause", "start"].into_iter().zip(&HANDLED) {
        println!("{name} handled_after {:.2}", (handled.load(Ordering::SeqCst) - sent) as f64 / 1e9);
    }
}
RS
cargo run --quiet --manifest-path started/Cargo.toml --target-dir target > seen
cat seen
awk '$1 == "pause" && $2 == "state" && ($3 != "S" || $5 > 0.5) { exit 1 } $1 == "start" && $2 == "state" && ($3 != "D" || $5 < 1) { exit 1 }
    $1 == "pause" && $2 == "handled_after" && $3 > 0.5 { exit 1 } $1 == "start" && $2 == "handled_after" && $3 < 1 { exit 1 }' seen ||
    { echo "changed: a thread stops while its child has not started a program" >&2; exit 1; }
[ "$(wc -l < seen)" = 4 ]
