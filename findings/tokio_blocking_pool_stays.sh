#!/usr/bin/env bash
# tokio 1.54.1, how many threads the blocking pool has after a burst, while a little work goes on.
#
# Guess: a thread that has waited for the keep-alive, 10 s by default, ends. So the pool shrinks to what the load needs; one closure at
# a time needs one thread.
# Reality: each closure wakes the thread that has waited longest, so the little work goes round among all threads and none of them
# waits for the whole keep-alive. Twenty closures at once, then one after the other every 20 ms, the keep-alive 2 s:
#
#                                 num_blocking_threads    threads that ran a closure in the last second
#     after 1 s                   20                      20
#     after 6 s                   20                      20
#     4 s after the last closure   0
#
# A pool keeps all N threads as long as it gets N closures in each keep-alive: 500 threads stay with 50 file operations or name look-ups a
# second, which one thread could do.
#
# Why it matters: the number of threads tells of the largest burst, not of the load, and what each thread has touched of its stack, and
# malloc's cache of it, stay resident. A reader of the gauge, or of a dump with 500 idle pool threads, takes it for what the program needs
# or for a leak. A lower `max_blocking_threads` is the way to have fewer; a shorter keep-alive alone is not.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_blocking_pool_stays.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p pool/src
cat > pool/Cargo.toml <<'TOML'
[package]
name = "pool"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > pool/src/main.rs <<'RS'
use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::time::sleep;

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .thread_keep_alive(Duration::from_secs(2))
        .build()
        .unwrap();
    let metrics = runtime.metrics();
    runtime.block_on(async {
        // Each closure needs a thread of its own.
        let all = Arc::new(Barrier::new(20));
        let burst: Vec<_> = (0..20).map(|_| runtime.spawn_blocking({ let all = all.clone(); move || { all.wait(); } })).collect();
        for closure in burst { closure.await.unwrap() }
        println!("burst threads {}", metrics.num_blocking_threads());
        let begun = Instant::now();
        for second in 1..=6 {
            let mut ran_on = HashSet::new();
            while begun.elapsed() < Duration::from_secs(second) {
                ran_on.insert(runtime.spawn_blocking(|| thread::current().id()).await.unwrap());
                sleep(Duration::from_millis(20)).await;
            }
            println!("after {second} threads {} ran {}", metrics.num_blocking_threads(), ran_on.len());
        }
        sleep(Duration::from_secs(4)).await;
        println!("without threads {}", metrics.num_blocking_threads());
    });
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path pool/Cargo.toml --target-dir target | tee seen
# A machine that stands still for more than a second loses some.
awk '$1 == "burst" && $3 != 20 { exit 1 } $1 == "after" && $2 == 6 && $4 < 10 { exit 1 } $1 == "without" && $3 != 0 { exit 1 }' seen ||
    { echo "changed: the pool shrinks to what the load needs" >&2; exit 1; }
