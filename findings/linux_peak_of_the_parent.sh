#!/usr/bin/env bash
# rustc 1.95.0 on Linux 6.18 (seen): the peak memory of a child, `ru_maxrss` of `wait4`, as `/usr/bin/time -v` has it.
#
# Guess: the most memory that the child had, which is a megabyte or two for `grep`.
# Reality: a child starts as a copy of its parent, and what it had before `exec` counts. With `posix_spawn` or `vfork`, as std, Python's
# `subprocess` and glibc start programs, it is in its parent's own memory until then, so its peak is at least that of the parent; not
# that of the moment, but the highest the parent ever had. The same grep, started by programs of several sizes
#
#     the starting program                      ru_maxrss of grep     VmHWM of grep, in /proc/PID/status
#     has 2 MB                                  2 MB                  2 MB
#     has 300 MB                                302 MB                2 MB
#     had 300 MB and has freed them             302 MB                2 MB
#     is a small one, whose parent has 300 MB   2 MB                  2 MB
#
# Why it matters: a benchmark or a test of memory that starts the program under test from a large harness (cargo's tests, a Python script
# with data, a build server's agent) has the harness' peak as its result, and no improvement changes it. A job runner or a supervisor
# of a service notes 2 GB for a shell script. Have it started and waited for by a small program in between, as `/usr/bin/time` is; or read
# VmHWM while it lives, or the peak of a cgroup.
set -euo pipefail
for tool in rustc grep; do
    command -v "$tool" > /dev/null || { echo "linux_peak_of_the_parent.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr
rustc --version

cat > peak.rs <<'RS'
use std::process::{Command, Stdio};
use std::io::Read;

/// `struct rusage` on 64-bit Linux: two times, then `ru_maxrss` in kB, then 13 other counts.
#[repr(C)]
#[derive(Default)]
struct Usage { times: [i64; 4], maxrss: i64, others: [i64; 13] }
unsafe extern "C" {
    fn wait4(pid: i32, status: *mut i32, options: i32, usage: *mut Usage) -> i32;
}

fn start(what: &str, program: &str, arguments: &[&str]) {
    let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    child.stdout.take().unwrap().read_to_string(&mut line).unwrap();
    let mut usage = Usage::default();
    assert_eq!(unsafe { wait4(child.id() as i32, std::ptr::null_mut(), 0, &mut usage) }, child.id() as i32);
    let peak: i64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("{what} maxrss {} VmHWM {}", usage.maxrss / 1024, peak / 1024);
}

fn main() {
    if std::env::args().nth(1).is_some() {
        return start("between", "grep", &["VmHWM", "/proc/self/status"]);
    }
    let grep = |what: &str| start(what, "grep", &["VmHWM", "/proc/self/status"]);
    grep("small");
    let held = std::hint::black_box(vec![1_u8; 300 << 20]);
    grep("large");
    assert!(Command::new("./peak").arg("between").status().unwrap().success());
    drop(held);
    grep("freed");
}
RS
rustc --edition 2024 -O peak.rs
./peak | tee seen
awk '
    $1 == "small" || $1 == "between" { good += $3 < 20 && $5 < 20 }
    $1 == "large" || $1 == "freed" { good += $3 >= 300 && $5 < 20 }
    END { exit good != 4 }
' seen || { echo "changed: the peak of a child is its own" >&2; exit 1; }
