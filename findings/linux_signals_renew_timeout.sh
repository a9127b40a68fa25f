#!/usr/bin/env bash
# rustc 1.95.0 on Linux 6.18 (seen): a blocking read with `set_read_timeout` in a thread that gets signals, with a handler that has SA_RESTART.
#
# Guess: SA_RESTART makes the kernel go on with an interrupted `read`, and a read with a time limit ends at its limit, or at once with an error.
# Reality: a read of a socket with a time limit is never restarted, it returns EINTR. `read_exact`, `read_to_end`, `BufRead` and `io::copy` call
# it again, and each call has the whole limit anew. With a signal in each half of it the limit never comes. The peer sends nothing for 3 s,
# the limit is 400 ms, the thread gets a signal every 100 ms for 2 s:
#
#     read_timeout    signals     read                            read_exact
#     400 ms          none        WouldBlock after 0.4 s          WouldBlock after 0.4 s
#     400 ms          for 2 s     Interrupted after 0.1 s         WouldBlock after 2.4 s
#     none            for 2 s     4 bytes after 3 s               4 bytes after 3 s
#
# `park_timeout`, `sleep` and `Condvar::wait_timeout` of std keep their time: they wait until a point of time, or for the rest.
#
# Why it matters: clients of databases and HTTP that block have their limits by `set_read_timeout`, in `spawn_blocking` or a thread of their
# own. A wall-clock profiler, a debugger's sampler or a timer of the program signals threads that wait, 10 to 100 times a second: while it is on,
# a dead server is waited for without end, and code with a plain `read` fails with an error that it never had. What one measures is
# the profiler's. A timer on CPU time does neither: a thread that waits uses none.
set -euo pipefail
command -v rustc > /dev/null || { echo "linux_signals_renew_timeout.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr
rustc --version

cat > limit.rs <<'RS'
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// glibc's `struct sigaction` on 64-bit Linux.
#[repr(C)]
struct Action { handler: extern "C" fn(i32), mask: [u64; 16], flags: i32, restorer: usize }
const SA_RESTART: i32 = 0x1000_0000;
const SIGPROF: i32 = 27;
unsafe extern "C" {
    fn sigaction(signal: i32, action: *const Action, old: *mut Action) -> i32;
    fn pthread_self() -> usize;
    fn pthread_kill(thread: usize, signal: i32) -> i32;
}
extern "C" fn handler(_: i32) {}

/// Signals this thread every 100 ms for 2 s.
fn signals() {
    let thread = unsafe { pthread_self() };
    thread::spawn(move || for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        unsafe { pthread_kill(thread, SIGPROF) };
    });
}

fn main() {
    let action = Action { handler, mask: [0; 16], flags: SA_RESTART, restorer: 0 };
    assert_eq!(unsafe { sigaction(SIGPROF, &action, std::ptr::null_mut()) }, 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (limit, signalled) in [(true, false), (true, true), (false, true)] {
        for whole in [false, true] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut peer = listener.accept().unwrap().0;
            if limit { client.set_read_timeout(Some(Duration::from_millis(400))).unwrap() }
            let begin = Instant::now();
            let late = thread::spawn(move || {
                thread::sleep(Duration::from_secs(3));
                let _ = peer.write_all(b"late");
            });
            if signalled { signals() }
            let mut bytes = [0; 4];
            let result = if whole { client.read_exact(&mut bytes).map(|()| 4) } else { client.read(&mut bytes) };
            // Rounded down: a busy machine wakes the thread late.
            let tenths = begin.elapsed().as_millis() / 100;
            println!("{} {} {} {} {tenths}", if limit { "limit" } else { "no-limit" }, if signalled { "signals" } else { "quiet" },
                if whole { "read_exact" } else { "read" }, result.map_or_else(|error| format!("{:?}", error.kind()), |n| n.to_string()));
            late.join().unwrap();
        }
    }
    let limit = Duration::from_millis(400);
    let timed = |name: &str, wait: &dyn Fn()| {
        signals();
        let begin = Instant::now();
        wait();
        println!("std signals {name} - {}", begin.elapsed().as_millis() / 100);
        thread::sleep(Duration::from_secs(2));
    };
    timed("sleep", &|| thread::sleep(limit));
    let never = (Mutex::new(()), Condvar::new());
    timed("wait_timeout", &|| drop(never.1.wait_timeout_while(never.0.lock().unwrap(), limit, |()| true).unwrap()));
}
RS
rustc --edition 2024 -O limit.rs
./limit | tee seen
# The last column is in tenths of a second.
awk '
    { key = $1 " " $2 " " $3 " " $4 }
    key == "limit quiet read WouldBlock" { good += $5 >= 4 && $5 < 12 }
    key == "limit quiet read_exact WouldBlock" { good += $5 >= 4 && $5 < 12 }
    key == "limit signals read Interrupted" { good += $5 < 4 }
    key == "limit signals read_exact WouldBlock" { good += $5 >= 20 }
    key == "no-limit signals read 4" { good += $5 >= 29 }
    key == "no-limit signals read_exact 4" { good += $5 >= 29 }
    $1 == "std" { good += $5 >= 4 && $5 < 12 }
    END { exit good != 8 }
' seen || { echo "changed: a signal does not renew the limit of a read" >&2; exit 1; }
