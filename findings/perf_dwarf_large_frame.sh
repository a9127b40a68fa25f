#!/usr/bin/env bash
# perf 6.1 (Debian 12's) with rustc 1.95.0: `perf record --call-graph dwarf` of a program that has a buffer on its stack.
#
# Guess: with full debug information a stack goes from the function to `main`. Where one cannot be unwound, the report says so, or
# counts it.
# Reality: perf copies the top of the stack, 8 KiB by default and 65,528 bytes at most, and unwinds that copy later. One frame that is larger
# ends the stack, and nothing tells of it. `main` calls `handler`, that calls `parse`, which has a buffer, and that calls `work`, in
# which all the time is spent. Of the samples in `work`, these functions are in the stack of:
#
#     buffer of `parse`    option         parse    handler    main
#     6,000 bytes          dwarf          all      all        all
#     9,000 bytes          dwarf          all      none       none
#     9,000 bytes          dwarf,16384    all      all        all
#     100,000 bytes        dwarf,65528    all      none       none
#
# Why it matters: read buffers, arrays and futures that are held by value (the whole of `block_on`, unboxed handlers in a debug build) are frames
# of that size. A flame graph has `parse` standing on the floor beside `main`, not above `handler`, and the handler's own share is too small by
# all that it calls. Most instructions use this option as it is. Give the size, put the buffer into a `Box`, or
# build with frame pointers.
set -euo pipefail
for tool in perf rustc; do
    command -v $tool > /dev/null || { echo "perf_dwarf_large_frame.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
perf --version
rustc --version

cat > app.rs <<'RS'
use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn work() -> u64 {
    let begin = Instant::now();
    let mut sum = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        for number in 0..1_000_000_u64 {
            sum = black_box(sum ^ number);
        }
    }
    sum
}

#[inline(never)]
fn parse<const SIZE: usize>() -> u64 {
    let mut buffer = [0_u8; SIZE];
    black_box(&mut buffer);
    let sum = work();
    black_box(&buffer);
    sum
}

#[inline(never)]
fn handler<const SIZE: usize>() -> u64 {
    black_box(parse::<SIZE>()) + 1
}

fn main() {
    let sum = match std::env::args().nth(1).unwrap().as_str() {
        "6000" => handler::<6000>(),
        "9000" => handler::<9000>(),
        _ => handler::<100_000>(),
    };
    black_box(sum);
}
RS
rustc -O -g app.rs
while read -r buffer option; do
    perf record --quiet -e cpu-clock:u -F 99 --call-graph "$option" -o data ./app "$buffer" > log 2>&1 || { cat log; exit 2; }
    perf script --no-inline -i data -F ip,sym 2> /dev/null > samples
    awk -v name="$buffer $option" 'BEGIN { RS = "" }
        /app::work/ { all++; parse += /app::parse/; handler += /app::handler/; main += /app::main/ }
        function of_all(count) { return count > all * 0.95 ? "all" : count < all * 0.05 ? "none" : "some" }
        END { if (all < 20) { print "too few samples: " all; exit 1 }
              printf "%s: parse %s, handler %s, main %s\n", name, of_all(parse), of_all(handler), of_all(main) }' samples
done > seen <<'TXT'
6000 dwarf
9000 dwarf
9000 dwarf,16384
100000 dwarf,65528
TXT
cat seen
diff seen - <<'TXT' || { echo "changed: how far a stack goes" >&2; exit 1; }
6000 dwarf: parse all, handler all, main all
9000 dwarf: parse all, handler none, main none
9000 dwarf,16384: parse all, handler all, main all
100000 dwarf,65528: parse all, handler none, main none
TXT
