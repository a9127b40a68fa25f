#!/usr/bin/env bash
# Linux 6.18 (seen), `timer_create` and RLIMIT_SIGPENDING, `ulimit -i`.
#
# Guess: the limit is for signals that wait to be delivered. Timers that have not fired have none, and one with SIGEV_NONE never will; what
# a process uses up is missing in that process only.
# Reality: each timer counts as a waiting signal from its creation on, `SIGEV_NONE` included, and the count is of the user, over all
# processes. With room for 10 in the limit, no timer armed:
#
#     timers with a signal, created one after the other     10, then EAGAIN
#     a timer with SIGEV_NONE                               EAGAIN
#     a timer in another process of the user                EAGAIN, with none of its own
#     the other process's SigQ in /proc/PID/status          10 used, without a signal or a timer of its own
#     sigqueue()                                            EAGAIN
#     kill() of a real-time signal                          accepted
#
# Root is no exception. The default limit grows with the machine's memory, some 4,000 for each GiB.
#
# Why it matters: a CPU profiler that has a timer on the clock of each thread takes one for each thread. Two services of a user, a pool
# of 500 threads each and a small limit, as set in a unit file or on a small machine: the second profile has no samples of some
# threads, because of another process of the user. A profile should say how many threads it has no timer for.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_timers_of_the_user.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p timers/src
cat > timers/Cargo.toml <<'TOML'
[package]
name = "timers"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
[workspace]
TOML
cat > timers/src/main.rs <<'RS'
use std::io::Error;
use std::{mem, ptr};

/// Signals of the user that count, and the limit.
fn queued() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("SigQ:")).unwrap();
    let (used, limit) = line.trim().split_once('/').unwrap();
    (used.parse().unwrap(), limit.parse().unwrap())
}

fn said(result: i32) -> String {
    if result == 0 { "ok".into() } else if Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) { "EAGAIN".into() } else { Error::last_os_error().to_string() }
}

fn create(notify: i32) -> String {
    // SAFETY: both are plain data that may be zero, and the call reads one and writes the other.
    unsafe {
        let mut event: libc::sigevent = mem::zeroed();
        event.sigev_notify = notify;
        event.sigev_signo = libc::SIGRTMIN();
        let mut timer: libc::timer_t = mem::zeroed();
        said(libc::timer_create(libc::CLOCK_THREAD_CPUTIME_ID, &mut event, &mut timer))
    }
}

fn main() {
    if std::env::args().count() > 1 {
        println!("other_process used {} timer {}", queued().0, create(libc::SIGEV_SIGNAL));
        return;
    }
    let (before, _) = queued();
    let limit = libc::rlimit { rlim_cur: before + 10, rlim_max: before + 10 };
    // SAFETY: the call reads `limit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &limit) }, 0, "{}", Error::last_os_error());
    let mut created = 0;
    let refused = loop {
        match create(libc::SIGEV_SIGNAL) {
            ok if ok == "ok" && created < 20 => created += 1,
            refused => break refused,
        }
    };
    println!("before {before} created {created} then {refused}");
    println!("without_signal {}", create(libc::SIGEV_NONE));
    // The child has the limit, and no timer: they are not inherited.
    let program = std::env::current_exe().unwrap();
    assert!(std::process::Command::new(program).arg("other").status().unwrap().success());
    // SAFETY: plain calls; the signal is blocked, so that it stays pending.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGRTMIN());
        libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut());
        println!("sigqueue {}", said(libc::sigqueue(libc::getpid(), libc::SIGRTMIN(), libc::sigval { sival_ptr: ptr::null_mut() })));
        println!("kill {}", said(libc::kill(libc::getpid(), libc::SIGRTMIN())));
    }
}
RS
cargo run --quiet --manifest-path timers/Cargo.toml --target-dir target | tee seen
# Other processes of the user may come and go meanwhile.
awk '$1 == "before" && ($4 < 5 || $4 > 10 || $6 != "EAGAIN") { exit 1 } $1 == "without_signal" && $2 != "EAGAIN" { exit 1 }
    $1 == "other_process" && ($3 < 5 || $5 != "EAGAIN") { exit 1 } $1 == "sigqueue" && $2 != "EAGAIN" { exit 1 } $1 == "kill" && $2 != "ok" { exit 1 }' seen ||
    { echo "changed: a timer is no waiting signal of the user" >&2; exit 1; }
