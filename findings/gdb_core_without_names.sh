#!/usr/bin/env bash
# gdb 13.1 (Debian 12's) with rustc 1.95.0: the names of threads in a core file.
#
# Guess: a core file has them. `info threads` of the live process shows the name of each thread, and `gcore` is of the same gdb.
# Reality: the kernel's names are in no note of a core file, neither of gdb's nor of one that the kernel writes: it has each thread's number
# and registers, and the program's name once. The same process, live and from the core file:
#
#     live                                            core file
#     Thread 0x7fb3 (LWP 15451) "shop"                Thread 0x7fb3 (LWP 15451)
#     Thread 0x7fb2 (LWP 15453) "orders-worker"       Thread 0x7fb2 (LWP 15453)
#     Thread 0x7fb1 (LWP 15454) "images-worker"       Thread 0x7fb1 (LWP 15454)
#
# Why it matters: with several runtimes and pools the threads' names say which is which, and after a crash there are 60 threads with the
# same frames and a number. A tool that finds workers by `tokio-rt-worker` finds them live and none in the core file. std has the name in
# the memory of its own `Thread`, which is in the core file, if the thread was given one; names that C code gave by `prctl` are lost.
# `runtime-dump core FILE --threads` reads it there, with types and symbols of the program (Rust 1.84 or later). Without them
# have the numbers and names in the log at the start, or `/proc/PID/task/*/comm` saved by what handles core files.
set -euo pipefail
for tool in gdb rustc; do
    command -v "$tool" > /dev/null || { echo "gdb_core_without_names.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
shop=
trap '[ -z "$shop" ] || kill "$shop" 2> /dev/null || true; rm -rf "$work"' EXIT
cd "$work"
gdb --version | sed -n 1p
rustc --version

cat > shop.rs <<'RS'
fn main() {
    let wait = || std::thread::sleep(std::time::Duration::from_secs(60));
    for name in ["orders-worker", "images-worker"] {
        std::thread::Builder::new().name(name.into()).spawn(wait).unwrap();
    }
    wait();
}
RS
rustc --edition 2024 shop.rs
./shop &
shop=$!
for _ in $(seq 100); do [ "$(cat /proc/$shop/task/*/comm | grep -c worker)" = 2 ] && break; sleep 0.1; done
threads() { sed -nE 's/^[* ]+[0-9]+ +Thread 0x[0-9a-f]+ \(LWP [0-9]+\)( "([^"]*)")?.*/thread \2/p' | sed 's/ $//'; }
gdb -q -batch -nx -ex 'info threads' -p "$shop" 2> /dev/null | threads > live
gdb -q -batch -nx -ex 'gcore core.shop' -p "$shop" > /dev/null 2>&1
gdb -q -batch -nx -ex 'info threads' ./shop core.shop 2> /dev/null | threads > core
paste -d '|' live core
printf 'thread %s\n' shop orders-worker images-worker | diff - live || { echo "changed: the live process has other names" >&2; exit 1; }
printf 'thread\nthread\nthread\n' | diff - core || { echo "changed: the core file has names" >&2; exit 1; }
# std's own copy.
grep -aq orders-worker core.shop || { echo "changed: the name is nowhere in the core file" >&2; exit 1; }
