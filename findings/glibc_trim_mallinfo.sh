#!/usr/bin/env bash
# glibc 2.36 (Debian 12's), `mallinfo2()` after `malloc_trim(0)`.
#
# Guess: `fordblks`, the free bytes that the allocator holds, and `arena`, the bytes that it has from the kernel, fall by what
# malloc_trim gives back.
# Reality: they do not change. 200,000 blocks of 1,000 bytes, all but the last freed, in MiB:
#
#                        used  free (fordblks)  arena  resident
#     all but one freed     0              192    192       194
#     after malloc_trim     0              192    192         1
#
# malloc_trim(0) returns 1, memory was given back. It tells the kernel that the pages inside the free blocks may go, and the blocks
# stay on the lists as before; no field of mallinfo2 distinguishes them from blocks whose pages are resident.
#
# Why it matters: "allocated, free but held, resident" as a memory page would show them contradict each other: 192 MiB held where
# 1 MiB is resident, for as long as nothing is allocated there. An alarm for fragmentation by fordblks goes on after the cure. Only
# the kernel's figure says what is held; trimming again because fordblks is high changes nothing.
set -euo pipefail
command -v rustc > /dev/null || { echo "glibc_trim_mallinfo.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > held.rs <<'RS'
use std::ffi::{CStr, c_char};
use std::hint::black_box;

#[repr(C)]
struct Mallinfo2 {
    arena: usize,
    of_other_kinds: [usize; 6],
    uordblks: usize,
    fordblks: usize,
    keepcost: usize,
}
unsafe extern "C" {
    fn mallinfo2() -> Mallinfo2;
    fn malloc_trim(pad: usize) -> i32;
    fn gnu_get_libc_version() -> *const c_char;
}

fn show(when: &str) {
    let info = unsafe { mallinfo2() };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let resident: usize = resident.split_whitespace().nth(1).unwrap().parse().unwrap();
    let [used, free, arena] = [info.uordblks, info.fordblks, info.arena].map(|bytes| bytes >> 20);
    println!("{when}: used {used} free {free} arena {arena} resident {}", resident >> 10);
}

fn main() {
    println!("glibc {}", unsafe { CStr::from_ptr(gnu_get_libc_version()) }.to_str().unwrap());
    let mut blocks: Vec<Box<[u8; 1000]>> = (0..200_000).map(|at| Box::new([at as u8; 1000])).collect();
    let last = blocks.pop();
    drop(blocks);
    show("freed");
    println!("malloc_trim {}", unsafe { malloc_trim(0) });
    show("trimmed");
    black_box(last);
}
RS
rustc --edition 2024 -C opt-level=2 held.rs
./held > seen
cat seen
awk '$1 == "freed:" { freed = $5; arena = $7; before = $9 } $1 == "trimmed:" { free = $5; still = $7; after = $9 }
    END { exit !(freed > 150 && before > 150 && free == freed && still == arena && after < 50) }' seen \
    || { echo "changed: mallinfo2 follows malloc_trim" >&2; exit 1; }
