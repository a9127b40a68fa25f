#!/usr/bin/env bash
# perf 6.1 (Debian 12's) with rustc 1.95.0 and glibc 2.36: `perf record --call-graph fp` of a program built with frame pointers.
#
# Guess: with `-C force-frame-pointers=yes` each function has its frame, and std's have one too, so a stack is complete; at worst it ends
# early in a library without them.
# Reality: a function of the C library that has no frame, such as memcpy, takes its caller out of the stack. The walk begins at the frame
# of the caller, and what it finds there is where the caller returns to. `handler` calls `copies`, which copies 20 MB by memcpy; of the
# samples in memcpy so many have the function in their stack:
#
#                            copies    handler    below memcpy is
#     --call-graph fp        0 %       100 %      handler
#     --call-graph dwarf     100 %     100 %      copies, with what is inlined into it
#
# Why it matters: copying, comparing and clearing memory, malloc and free are much of what a server does, and in each of these samples one
# function of one's own is missing, not where the stack ends but next to the top. The flame graph has no gap; it shows the time as
# `handler`'s own call of memcpy, and the function to change is nowhere. Profilers inside a process that walk frame pointers in a signal
# handler have the same. Use unwind tables, or take the top of the stack from the instruction before the walk.
set -euo pipefail
for needed in perf rustc; do
    command -v "$needed" > /dev/null || { echo "perf_fp_copies_caller.sh: needs $needed (Debian: linux-perf)" >&2; exit 2; }
done
[ "$(uname -m)" = x86_64 ] || { echo "perf_fp_copies_caller.sh: needs x86-64" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
perf --version
rustc --version

cat > shop.rs <<'RS'
use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn copies(to: &mut [u8], from: &[u8]) {
    for _ in 0..100 { black_box(&mut *to).copy_from_slice(black_box(from)) }
    black_box(to);
}

#[inline(never)]
fn handler(to: &mut [u8], from: &[u8]) {
    copies(to, from);
    black_box(to);
}

fn main() {
    let from = vec![1; 200_000];
    let mut to = vec![0; 200_000];
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) { handler(&mut to, &from) }
}
RS
rustc -O -g -C force-frame-pointers=yes shop.rs -o shop
for kind in fp dwarf; do
    perf record --quiet --event cpu-clock --freq 199 --call-graph $kind --output $kind.data ./shop 2> /dev/null ||
        { echo "perf_fp_copies_caller.sh: perf may not record here" >&2; exit 2; }
    perf script --input $kind.data --fields ip,sym 2> /dev/null > $kind.txt
    awk -v kind=$kind '
        function done() {
            if (top ~ /memmove|memcpy/) { all++; copies += has_copies; handler += has_handler; above[second]++ }
            top = second = ""
            has_copies = has_handler = 0
        }
        NF == 0 { done(); next }
        top == "" { top = $2; next }
        second == "" { second = $2 }
        $2 ~ /copies/ { has_copies = 1 }
        $2 ~ /handler/ { has_handler = 1 }
        END { done(); for (name in above) if (above[name] > most) { most = above[name]; common = name }
            printf "%s samples_in_memcpy %d copies %d%% handler %d%% above %s\n", kind, all, 100 * copies / all, 100 * handler / all, common }' $kind.txt
done | tee seen
awk '$3 < 100 { exit 1 } $1 == "fp" && ($5 + 0 > 10 || $7 + 0 < 90 || $9 !~ /handler/) { exit 1 }
    $1 == "dwarf" && ($5 + 0 < 90 || $7 + 0 < 90 || $9 ~ /handler/) { exit 1 }
    END { if (NR != 2) exit 1 }' seen || { echo "changed: which functions are in the stacks" >&2; exit 1; }
