#!/usr/bin/env bash
# console-subscriber 0.5.0 with tokio 1.54.1: the memory of tasks that have ended.
#
# Guess: the console shows ended tasks for some seconds. What the subscriber keeps of one is its name, its spawn location and some sums, a
# few hundred bytes; and while no console is connected there is nothing to keep.
# Reality: it keeps each task for an hour, connected or not, with two histograms, of polls and of the times until them. These are
# allocated in full when the task is spawned, by their range of 1 ns to 1 s, also for a task with one poll. Bytes that live, for each of
# 500 that have ended:
#
#     async task                                    50.3 KB
#     closure of spawn_blocking                     50.6 KB
#     Mutex, oneshot channel, sleep                 3.6 KB, 2.1 KB, 1.1 KB
#     async task, histograms up to 1 ms             29.8 KB
#     async task, retention(Duration::ZERO)         0 KB
#
# Why it matters: a service that spawns 100 tasks a second, a few for each request, grows by 18 GB within the hour after its start, and
# stays there; files and name look-ups are closures, too. It looks like a leak of the service, in a process that was prepared to look for
# one, and a heap profile has it at the program's own spawns, where the histograms are allocated. The builder's documentation says that
# retention costs memory, and not how much: set `retention` to seconds, or TOKIO_CONSOLE_RETENTION where the environment is read, before
# the console goes into production.
set -euo pipefail
command -v cargo > /dev/null || { echo "console_finished_tasks.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p finished/src
cat > finished/Cargo.toml <<'TOML'
[package]
name = "finished"
version = "0.0.0"
edition = "2024"
[dependencies]
console-subscriber = "=0.5.0"
tokio = { version = "=1.54.1", features = ["macros", "rt", "sync", "time", "tracing"] }
tracing-subscriber = "=0.3.23"
[workspace]
TOML
cat > finished/src/main.rs <<'RS'
use console_subscriber::ConsoleLayer;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing_subscriber::prelude::*;

const COUNT: usize = 500;

struct Counts;
static LIVE: AtomicUsize = AtomicUsize::new(0);
unsafe impl GlobalAlloc for Counts {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 { LIVE.fetch_add(layout.size(), Relaxed); unsafe { System.alloc(layout) } }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) { LIVE.fetch_sub(layout.size(), Relaxed); unsafe { System.dealloc(block, layout) } }
}
#[global_allocator]
static COUNTS: Counts = Counts;

async fn one(kind: &str) {
    match kind {
        "blocking" => spawn_blocking(|| {}).await.unwrap(),
        "mutex" => *Mutex::new(()).lock().await,
        "oneshot" => {
            let (sender, receiver) = oneshot::channel();
            sender.send(()).unwrap();
            receiver.await.unwrap();
        }
        "sleep" => sleep(Duration::from_micros(1)).await,
        _ => tokio::spawn(async {}).await.unwrap(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let kind = std::env::args().nth(1).unwrap();
    // The aggregator takes 127 events at a time.
    let builder = ConsoleLayer::builder().server_addr(([127, 0, 0, 1], 0));
    let mut builder = builder.publish_interval(Duration::from_millis(50));
    match kind.as_str() {
        "short" => {
            let short = Duration::from_millis(1);
            builder = builder.poll_duration_histogram_max(short).scheduled_duration_histogram_max(short);
        }
        "zero" => builder = builder.retention(Duration::ZERO),
        _ => {}
    }
    let (layer, server) = builder.build();
    tracing_subscriber::registry().with(layer).init();
    tokio::spawn(server.serve());
    // The aggregator's own buffers have their size by then.
    for _ in 0..COUNT { one(&kind).await }
    sleep(Duration::from_secs(3)).await;
    let before = LIVE.load(Relaxed);
    for _ in 0..COUNT { one(&kind).await }
    sleep(Duration::from_secs(3)).await;
    println!("{kind} bytes {}", LIVE.load(Relaxed).saturating_sub(before) / COUNT);
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo build --quiet --manifest-path finished/Cargo.toml --target-dir target
for kind in task blocking mutex oneshot sleep short zero; do target/debug/finished $kind; done | tee seen
awk '$1 ~ /^(task|blocking)$/ { good += $3 > 40000 && $3 < 80000 } $1 ~ /^(mutex|oneshot|sleep)$/ { good += $3 > 500 && $3 < 8000 }
    $1 == "short" { good += $3 > 20000 && $3 < 40000 } $1 == "zero" { good += $3 < 5000 } END { exit good != 7 }' seen \
    || { echo "changed: what is kept of an ended task" >&2; exit 1; }
