#!/usr/bin/env bash
# jemalloc 5.3.1 (tikv-jemallocator 0.7.0): when memory that was freed goes back to the system.
#
# Guess: after the decay time, 10 s by default, as the option `dirty_decay_ms` is described: the time from the free to the purge. Threads
# that still allocate keep the clock going.
# Reality: pages are given back by threads that allocate or free in the same arena, and few of their calls look at the clock. Threads that
# wait give back nothing, and small blocks, which come from a cache of the thread, do not look. Large blocks, the end of the thread,
# or the background thread, which is off by default, do it. Eight threads free 19 MB each, the decay time is 0.5 s; resident MB:
#
#                                         default    background_thread:true
#     before the free                     188        188
#     3 s after it, the threads wait      188        8
#     600,000 small blocks in 1.5 s       188        5       in each thread
#     20,000 large blocks in 2 s          5          5       in each thread
#
# Why it matters: a burst of large requests on workers or pool threads that then wait, or do small things, stays resident for hours, where
# an allocator with a decay time was chosen against just that. Live bytes in a heap profile are near zero meanwhile; the
# difference looks like a leak outside of the profile. `background_thread:true` in the configuration is the cure.
set -euo pipefail
command -v cargo > /dev/null || { echo "jemalloc_idle_threads.sh: needs cargo" >&2; exit 2; }
command -v make > /dev/null || { echo "jemalloc_idle_threads.sh: needs make and gcc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p idle/src
cat > idle/Cargo.toml <<'TOML'
[package]
name = "idle"
version = "0.0.0"
edition = "2024"
[dependencies]
tikv-jemallocator = "=0.7.0"
[workspace]
TOML
cat > idle/src/main.rs <<'RS'
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread::{sleep, spawn};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn say(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    println!("{when} {}", line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10);
}

fn main() {
    let step = Arc::new(Barrier::new(9));
    let threads: Vec<_> = (0..8).map(|_| {
        let step = step.clone();
        spawn(move || {
            let blocks: Vec<_> = (0..1000).map(|_| vec![1_u8; 20_000]).collect();
            step.wait();
            step.wait();
            drop(blocks);
            step.wait();
            step.wait();
            for _ in 0..3 {
                for _ in 0..200_000 { black_box(vec![1_u8; 100]); }
                sleep(Duration::from_millis(500));
            }
            step.wait();
            step.wait();
            for _ in 0..200 {
                for _ in 0..100 { black_box(vec![1_u8; 100_000]); }
                sleep(Duration::from_millis(10));
            }
            step.wait();
            step.wait();
        })
    }).collect();
    step.wait();
    say("in_use");
    step.wait();
    step.wait();
    sleep(Duration::from_secs(3));
    say("waiting");
    step.wait();
    step.wait();
    say("small");
    step.wait();
    step.wait();
    say("large");
    step.wait();
    for thread in threads { thread.join().unwrap() }
}
RS
cargo build --quiet --manifest-path idle/Cargo.toml --target-dir target
decay=dirty_decay_ms:500,muzzy_decay_ms:0
_RJEM_MALLOC_CONF=$decay,background_thread:false target/debug/idle > default
_RJEM_MALLOC_CONF=$decay,background_thread:true target/debug/idle > background
paste default background | tee seen
awk '
    $1 == "in_use" { good += $2 > 150 && $4 > 100 }
    $1 == "waiting" || $1 == "small" { good += $2 > 150 && $4 < 60 }
    $1 == "large" { good += $2 < 60 && $4 < 60 }
    END { exit good != 4 }
' seen || { echo "changed: threads that wait, or use small blocks, give freed memory back" >&2; exit 1; }
