#!/usr/bin/env bash
# pprof 0.15.0 (the crate), a CPU profile of a stack that is more than some 120 frames deep.
#
# Guess: a stack is kept whole. If there is a limit, what is cut off is at the leaf, or the stack says that something is missing; and it is the
# same function that all stacks begin with.
# Reality: it keeps 128 frames, those nearest to the leaf. The outer ones are missing without a mark, and the first frame of the stack is whatever
# is there: a flame graph has other functions beside `main` in its first row. `handler` calls itself through N frames, and computes; samples with
# `handler` and with `main`:
#
#     N      of all samples, with handler and main
#     10     all
#     100    all
#     300    none
#
# Why it matters: an optimised async service with layers (tower, hyper, tracing) has 60 to 150 frames, recursive parsers and serialisers have
# more. The deepest stacks are the expensive ones. Their time is missing from the handler that it belongs to, so a search for the handler finds
# the cheap requests only, and the percentages of `main` and of the handlers no longer add up. With frames that are inlined the limit counts
# machine frames, so a debug build cuts more than a release build.
set -euo pipefail
command -v cargo > /dev/null || { echo "pprof_crate_deep_stack.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p deep/src
cat > deep/Cargo.toml <<'TOML'
[package]
name = "deep"
version = "0.0.0"
edition = "2024"
[dependencies]
pprof = "=0.15.0"
[workspace]
TOML
cat > deep/src/main.rs <<'RS'
use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn compute() -> u64 {
    let begin = Instant::now();
    let mut sum = 1u64;
    while begin.elapsed() < Duration::from_millis(700) {
        for number in 0..10_000 {
            sum = black_box(sum.rotate_left(3) ^ number);
        }
    }
    sum
}

#[inline(never)]
fn parse(depth: u32) -> u64 {
    if depth == 0 { compute() } else { black_box(parse(depth - 1)) ^ 1 }
}

#[inline(never)]
fn handler(depth: u32) -> u64 { black_box(parse(depth)) ^ 1 }

fn main() {
    for depth in [10, 100, 300] {
        let guard = pprof::ProfilerGuard::new(100).unwrap();
        black_box(handler(depth));
        let report = guard.report().build().unwrap();
        let (mut all, mut handlers, mut mains) = (0, 0, 0);
        for (stack, count) in &report.data {
            let has = |name: &str| stack.frames.iter().flatten().any(|symbol| symbol.name() == name);
            if !has("deep::compute") { continue }
            all += count;
            handlers += if has("deep::handler") { *count } else { 0 };
            mains += if has("deep::main") { *count } else { 0 };
        }
        println!("depth {depth} samples {all} with_handler {handlers} with_main {mains}");
    }
}
RS
cargo run --quiet --manifest-path deep/Cargo.toml --target-dir target > seen
cat seen
awk '
    $4 < 5 { exit 1 }
    $2 < 300 { good += $6 == $4 && $8 == $4 }
    $2 == 300 { good += $6 == 0 && $8 == 0 }
    END { exit good != 3 }
' seen || { echo "changed: which frames of a deep stack are kept" >&2; exit 1; }
