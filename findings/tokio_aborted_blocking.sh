#!/usr/bin/env bash
# tokio 1.54.1, `abort()` of a `spawn_blocking` closure that still waits for a thread.
#
# Guess: abort does nothing to a running closure, says tokio's documentation, but may keep one from starting. That one then leaves
# the queue, what it captured is dropped, and its JoinHandle is ready with `is_cancelled()`.
# Reality: nothing happens until a thread of the pool takes it from the queue. With all threads of the pool busy, eight closures
# that own a semaphore's eight permits were aborted, and 300 ms later:
#
#     blocking_queue_depth 8, handles finished 0, permits free 0
#
# As soon as a thread is free: depth 0, all eight cancelled, permits 8. None of the closures ran.
#
# Why it matters: "abort the handle, then await it" waits as long as the longest closure that holds a thread, and permits,
# connections and buffers of requests that were given up stay taken just while the pool is overloaded. The queue depth counts work
# that no client wants any more: adding threads by it, or refusing requests by it, answers to a load that is not there.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_aborted_blocking.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p queued/src
cat > queued/Cargo.toml <<'TOML'
[package]
name = "queued"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "sync", "time"] }
[workspace]
TOML
cat > queued/src/main.rs <<'RS'
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_time().build().unwrap();
    runtime.block_on(async {
        let (release, released) = mpsc::channel::<()>();
        let long = spawn_blocking(move || released.recv().unwrap());
        // Its thread has taken it.
        while Handle::current().metrics().blocking_queue_depth() != 0 { sleep(Duration::from_millis(1)).await }

        let permits = Arc::new(Semaphore::new(8));
        let ran = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..8).map(|_| {
            let (permit, ran) = (permits.clone().try_acquire_owned().unwrap(), ran.clone());
            spawn_blocking(move || { ran.fetch_add(1, Ordering::Relaxed); drop(permit) })
        }).collect();
        let show = |when: &str, handles: &[JoinHandle<()>]| println!("{when}: depth {}, finished {}, permits {}",
            Handle::current().metrics().blocking_queue_depth(), handles.iter().filter(|handle| handle.is_finished()).count(),
            permits.available_permits());
        show("queued", &handles);
        handles.iter().for_each(|handle| handle.abort());
        sleep(Duration::from_millis(300)).await;
        show("300 ms after abort", &handles);

        release.send(()).unwrap();
        long.await.unwrap();
        while handles.iter().any(|handle| !handle.is_finished()) { sleep(Duration::from_millis(1)).await }
        show("a thread is free", &handles);
        let mut cancelled = 0;
        for handle in handles { cancelled += handle.await.is_err_and(|error| error.is_cancelled()) as u32 }
        println!("cancelled {cancelled}, ran {}", ran.load(Ordering::Relaxed));
    });
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path queued/Cargo.toml --target-dir target > seen
cat seen
cat > expected <<'TXT'
queued: depth 8, finished 0, permits 0
300 ms after abort: depth 8, finished 0, permits 0
a thread is free: depth 0, finished 8, permits 8
cancelled 8, ran 0
TXT
diff expected seen || { echo "changed: an aborted closure does not wait for a thread" >&2; exit 1; }
