#!/usr/bin/env bash
# tokio 1.54.1, `spawn_blocking` when the system has no thread left for the process.
#
# Guess: an error or a panic, "OS can't spawn worker thread", as `std::thread::spawn` has; a log line at least. What the pool does is then
# bounded by `max_blocking_threads`, 512, and a queue in it means that all 512 are at work.
# Reality: with one thread in the pool the failure is swallowed, and the closure waits in the queue until a thread is free. Nothing tells of
# it, and the next closure asks the system anew. Four closures of 200 ms, the address space of the process limited so that no thread can be
# made:
#
#     threads in the pool before    what happens          num_blocking_threads    blocking_queue_depth    over after
#     1                             no error, no panic    1                       3                       0.2, 0.4, 0.6, 0.8 s
#     0                             spawn_blocking panics
#
# `std::thread::spawn` says EAGAIN meanwhile.
#
# Why it matters: a container's limit of processes (pids.max), of the user's (ulimit -u), or of memory makes files, name look-ups and each
# closure slow, one after the other, with a pool that by its figures has room for hundreds. After a quiet time of 10 s, when the pool is
# empty, the same call panics instead, in tasks that have always worked. A queue beside a number of threads below the limit is the sign.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_no_thread_left.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export RUSTFLAGS="--cfg tokio_unstable"

mkdir -p pool/src
cat > pool/Cargo.toml <<'TOML'
[package]
name = "pool"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > pool/src/main.rs <<'RS'
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// From now on there is no room for the stack of a thread.
fn no_more_threads() {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let limit = libc::rlimit { rlim_cur: pages * 4096 + 1_000_000, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call reads `limit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let kind = thread::Builder::new().spawn(|| ()).map(|_| ()).map_err(|error| error.kind());
    println!("std::thread {kind:?}");
}

async fn look(threads: usize, start: Instant) {
    let metrics = tokio::runtime::Handle::current().metrics();
    println!("before: threads {}", metrics.num_blocking_threads());
    let mut closures = Vec::new();
    for _ in 0..4 {
        let closure = move || {
            thread::sleep(Duration::from_millis(200));
            start.elapsed().as_millis() / 100
        };
        if threads == 0 {
            std::panic::set_hook(Box::new(|panic| println!("panic: {panic}")));
        }
        closures.push(spawn_blocking(closure));
    }
    sleep(Duration::from_millis(50)).await;
    println!("threads {} queue {}", metrics.num_blocking_threads(), metrics.blocking_queue_depth());
    for closure in closures {
        println!("over after {}00 ms", closure.await.unwrap());
    }
}

fn main() {
    let threads = std::env::args().nth(1).unwrap().parse().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    runtime.block_on(async {
        if threads == 1 {
            spawn_blocking(|| ()).await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
        no_more_threads();
        let task = tokio::spawn(look(threads, Instant::now()));
        println!("task {}", if task.await.is_ok() { "ends" } else { "panics" });
    });
}
RS
cargo build --quiet --manifest-path pool/Cargo.toml --target-dir target
for threads in 1 0; do
    target/debug/pool $threads
done > seen
cat seen
grep -v '^over\|^panic: panicked' seen | diff - <(cat <<'TXT'
std::thread Err(WouldBlock)
before: threads 1
threads 1 queue 3
task ends
std::thread Err(WouldBlock)
before: threads 0
OS can't spawn worker thread: Resource temporarily unavailable (os error 11)
task panics
TXT
) || { echo "changed: a thread that cannot be made is told, or not missed" >&2; exit 1; }
# One after the other.
awk '/^over/ { if ($3 < last + 100) exit 1; last = $3 } END { if (last < 700) exit 1 }' seen || { echo "changed: closures run at once" >&2; exit 1; }
