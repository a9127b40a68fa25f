#!/usr/bin/env bash
# tokio 1.54.1, `block_in_place` while the blocking pool has no thread left.
#
# Guess: the other tasks go on. The documentation says that the call hands them to a new worker thread, and of
# `max_blocking_threads` that it bounds `spawn_blocking`, files and name look-ups, not `block_in_place`.
# Reality: the new worker thread is one of the blocking pool, and the worker waits in the queue of the pool like a closure. One
# worker, two threads for blocking, N closures that sleep for 3 s, a task that is in `block_in_place` for 1 s, and another task's
# timer of 100 ms that begins before it:
#
#     N     timer over after     blocking_queue_depth in between
#     0     0.10 s               0
#     1     0.10 s               0
#     2     1.05 s               1
#
# The timer is over when the call is, which takes its worker back, although no closure has ended. With N workers all of them
# have to be in such calls.
#
# Why it matters: `block_in_place` is chosen where a closure must not wait for a thread. Once the pool is full, as it is when a
# disk or a name server hangs, each call stops a worker, with its timers and sockets, as if it blocked without the wrapper. The one
# figure that moves is the queue of the pool, whose extra entry is a worker.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_in_place_without_threads.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p place/src
cat > place/Cargo.toml <<'TOML'
[package]
name = "place"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > place/src/main.rs <<'RS'
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::block_in_place;
use tokio::time::sleep;

fn ms(length: u64) -> Duration { Duration::from_millis(length) }

fn main() {
    for closures in 0..3 {
        let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(2).enable_time().build().unwrap();
        for _ in 0..closures {
            runtime.spawn_blocking(|| thread::sleep(ms(3000)));
        }
        let begun = Instant::now();
        let timer = runtime.spawn(async move {
            sleep(ms(100)).await;
            begun.elapsed()
        });
        thread::sleep(ms(50));
        let call = runtime.spawn(async { block_in_place(|| thread::sleep(ms(1000))) });
        thread::sleep(ms(500));
        let depth = runtime.metrics().blocking_queue_depth();
        let (timer, _) = runtime.block_on(async { (timer.await.unwrap(), call.await.unwrap()) });
        println!("closures {closures} timer_ms {} depth {depth}", timer.as_millis());
        runtime.shutdown_background();
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path place/Cargo.toml --target-dir target > seen
cat seen
# The machine may be busy: an order of magnitude lies between the two.
awk '$2 < 2 && ($4 > 700 || $6 != 0) { exit 1 } $2 == 2 && ($4 < 900 || $4 > 2900 || $6 != 1) { exit 1 }' seen \
    || { echo "changed: block_in_place finds a thread" >&2; exit 1; }
