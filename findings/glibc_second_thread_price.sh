#!/usr/bin/env bash
# glibc 2.36 (Debian 12's), malloc and free before and after a process's second thread, as a Rust program sees them.
#
# Guess: memory that one thread allocates and frees costs the same whether or not a second thread ran once and has ended.
# Reality: from the second thread on each allocation and free that the thread's cache does not serve costs 1.8 times as much, for the
# rest of the process's life. 32 boxes of 32 bytes made and dropped, in nanoseconds a box, the best of 40 rounds:
#
#     before a second thread    8.2
#     after it was joined      14.8
#
# The cache keeps seven free blocks of a size; the others go through the arena, where a process that was always alone leaves out the lock
# and the atomic instructions. The decision is made once, when a thread is created, and is not taken back.
#
# Why it matters: a benchmark of an allocator, or of code that allocates, without a thread measures prices that no tokio service pays:
# every service has a second thread. And it compares unequal things as soon as one of two contestants starts a thread, as profilers
# and recorders do: the one with the thread looks slower by what glibc adds. Each contestant has to start a thread first.
set -euo pipefail
command -v rustc > /dev/null || { echo "glibc_second_thread_price.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > price.rs <<'RS'
use std::ffi::{CStr, c_char};
use std::hint::black_box;
use std::time::Instant;

unsafe extern "C" {
    fn gnu_get_libc_version() -> *const c_char;
}

const BOXES: usize = 32;

fn round() -> f64 {
    const TIMES: u32 = 20_000;
    let began = Instant::now();
    for _ in 0..TIMES {
        let boxes: [Box<[u64; 4]>; BOXES] = std::array::from_fn(|at| Box::new([at as u64 + 1; 4]));
        drop(black_box(boxes));
    }
    began.elapsed().as_nanos() as f64 / f64::from(TIMES) / BOXES as f64
}

fn best() -> f64 {
    (0..40).map(|_| round()).fold(f64::MAX, f64::min)
}

fn main() {
    println!("glibc {}", unsafe { CStr::from_ptr(gnu_get_libc_version()) }.to_str().unwrap());
    let before = best();
    println!("before a second thread {before:.1} ns a box");
    std::thread::spawn(|| ()).join().unwrap();
    let after = best();
    println!("after it was joined {after:.1} ns a box");
    println!("slower {}", after > 1.25 * before);
}
RS
rustc --version
rustc --edition 2024 -O -o price price.rs
seen=$(./price)
echo "$seen"
grep -q '^slower true$' <<< "$seen" || { echo "CHANGED: a second thread that has ended does not make allocations dearer" >&2; exit 1; }
echo "as described"
