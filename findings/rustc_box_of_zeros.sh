#!/usr/bin/env bash
# rustc 1.95.0 with optimization on x86-64 Linux, `Box::new([0; 8])` with std's allocator and with wrappers around it.
#
# Guess: a box is allocated by `alloc`, that is malloc, whatever its value; and a global allocator that passes each call on to std's
# allocator changes nothing about which function of the C library is called.
# Reality: three programs that differ in the global allocator only call three functions:
#
#     std's allocator                                 __rust_alloc_zeroed, that is calloc
#     a wrapper that is inlined                       the wrapper's `alloc` counts the call, then calloc
#     a wrapper whose functions are never inlined     the wrapper's `alloc`, that is malloc, then stores of zeros
#
# The optimizer merges an allocation with the zeros that are written right after it. Where a crate has a global allocator of its own,
# the wrapper stands in place of the allocating function by then: inlined it shows malloc itself, not inlined it shows nothing.
#
# Why it matters: calloc and malloc differ. glibc 2.36's malloc takes a block from the thread's cache and its calloc does not: 9.7 ns
# beside 6.3 ns for 64 bytes. So the usual benchmark of a wrapper, a box of zeros in a loop with the wrapper and without, compares calloc
# with malloc and finds the wrapper faster than what it wraps. And a wrapper that counts zeroed allocations counts none of these.
set -euo pipefail
command -v rustc > /dev/null || { echo "rustc_box_of_zeros.sh: needs rustc" >&2; exit 2; }
[ "$(uname -m)" = x86_64 ] || { echo "rustc_box_of_zeros.sh: reads x86-64 assembly" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > system.rs <<'RS'
use std::hint::black_box;

#[inline(never)]
fn zeros() -> Box<[u64; 8]> {
    Box::new([0; 8])
}

fn main() {
    black_box(zeros());
}
RS
wrapper() {
    cat system.rs
    cat <<RS
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Counted;
static PLAIN: AtomicU64 = AtomicU64::new(0);
static ZEROED: AtomicU64 = AtomicU64::new(0);

unsafe impl GlobalAlloc for Counted {
    #[inline($1)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PLAIN.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }
    #[inline($1)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ZEROED.fetch_add(1, Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }
    #[inline($1)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;
RS
}
wrapper always > inlined.rs
wrapper never > outlined.rs

rustc --version
for program in system inlined outlined; do
    rustc --edition 2024 -O --emit asm -o $program.s $program.rs
    # What the function calls and counts.
    awk '/^_.*5zeros.*:$/ {on = 1} on {print} on && /\tret/ {exit}' $program.s |
        grep -oE 'alloc_zeroed@|calloc@|malloc@|PLAIN|ZEROED|GlobalAlloc[^ ]*5alloc' | tr -d '@' | sed 's/^GlobalAlloc.*/Counted::alloc/' |
        paste -sd ' ' | tee $program.seen | sed "s/^/$program: /"
done
expect() { grep -qx "$2" "$1.seen" || { echo "CHANGED: $1 does not call \"$2\"" >&2; exit 1; }; }
expect system 'alloc_zeroed'
expect inlined 'PLAIN calloc'
expect outlined 'Counted::alloc'
echo "as described"
