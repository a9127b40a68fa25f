#!/usr/bin/env bash
# rustc 1.95.0, `std::backtrace::Backtrace` of a stripped program on a Linux where glibc's debug information is installed (Debian's libc6-dbg).
#
# Guess: a stripped program's backtrace costs next to nothing, it has no debug information; what is installed for gdb is read by gdb.
# Reality: each stack has a frame of libc (`__libc_start_call_main`, `start_thread`), std looks for debug information of libc below
# /usr/lib/debug by its build id, uncompresses all of it, and keeps it for the life of the process. The text is of two more lines. Seen with
# glibc 2.36, the first `to_string()` of a backtrace, and what the process has more afterwards; the second takes 0.1 ms or less:
#
#     built with         /usr/lib/debug                first            anonymous memory
#     strip = symbols    empty                         0.2 ms           0.1 MB
#     strip = symbols    libc's debug information      74 ms            31 MB
#     debug info         empty                         8 ms             2 MB
#     debug info         libc's debug information      64 ms            33 MB
#
# Why it matters: the package comes with gdb, valgrind and many images for debugging, so the same program has its first panic (or error with a
# backtrace, anyhow's with RUST_BACKTRACE=1) for 0.2 ms on one host, and for a blocked worker and a step of 31 MB in memory that never goes
# back on another. It looks like a leak that the panic caused. With a limit of 64 MB for a container it can be the end of it.
set -euo pipefail
for tool in rustc unshare mount; do
    command -v "$tool" > /dev/null || { echo "std_backtrace_libc_debug.sh: needs $tool" >&2; exit 2; }
done
[ -d /usr/lib/debug/.build-id ] || { echo "std_backtrace_libc_debug.sh: needs libc6-dbg" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rustc --version
ldd --version | sed -n 1p

cat > first.rs <<'RS'
use std::backtrace::Backtrace;
use std::time::Instant;

fn anonymous_kb() -> u64 {
    let sums = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = sums.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let before = anonymous_kb();
    let begin = Instant::now();
    let text = Backtrace::force_capture().to_string();
    println!("{} us {} kB {} lines", begin.elapsed().as_micros(), anonymous_kb() - before, text.lines().count());
}
RS
rustc --edition 2024 -O -C strip=symbols -o stripped first.rs
rustc --edition 2024 -O -g -o full first.rs
# In namespaces of their own, for an empty folder there.
empty() { unshare --user --map-root-user --mount sh -c "mount -t tmpfs none /usr/lib/debug && $1"; }
{
    for built in stripped full; do
        echo "$built empty $(empty ./$built)"
        echo "$built libc $(./$built)"
    done
} | tee seen
awk '
    $1 == "stripped" && $2 == "empty" { good += $5 < 1000 }
    $1 == "stripped" && $2 == "libc" { good += $5 > 10000 }
    $1 == "full" && $2 == "empty" { good += $5 < 10000 }
    $1 == "full" && $2 == "libc" { good += $5 > 10000 }
    END { exit good != 4 }
' seen || { echo "changed: a backtrace does not load the debug information of libc" >&2; exit 1; }
