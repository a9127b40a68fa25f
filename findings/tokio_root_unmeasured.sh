#!/usr/bin/env bash
# tokio 1.54.1, the figures of `RuntimeMetrics` for what `block_on` and `#[tokio::main]` run themselves.
#
# Guess: the body of `#[tokio::main]` is a task like others: polls and busy time of some worker, hooks, one task alive.
# Reality: 20 rounds of 20 ms of work and a sleep of 1 ms in the body, nothing else in the runtime:
#
#                                       multi_thread, 2 workers    current_thread
#     tasks alive in it                 0                          0
#     polls, calls of the poll hook     0, 0                       0, 0
#     busy time of all workers          0.01 ms                    435 ms
#     worker_noop_count                 40                         40
#
# With workers the body runs on the thread that called, and each of its timers wakes a worker that then finds nothing to do.
# With one thread its time counts as the worker's, without a poll.
#
# Why it matters: a program whose accept loop, consumer or whole batch stands in `main` has idle workers by every figure, and many
# "noops", while one core is full. Busy time divided by polls, a mean of the length of polls, is 0/0 for one flavor and infinite for
# the other. Spawn the body's work, or watch the body by itself.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_root_unmeasured.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p root/src
cat > root/Cargo.toml <<'TOML'
[package]
name = "root"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > root/src/main.rs <<'RS'
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::time::sleep;

fn main() {
    for (flavor, mut builder) in [("multi", Builder::new_multi_thread()), ("current", Builder::new_current_thread())] {
        let hooked = Arc::new(AtomicU64::new(0));
        let polls = hooked.clone();
        builder.worker_threads(2).enable_time().on_before_task_poll(move |_| { polls.fetch_add(1, Ordering::Relaxed); });
        let runtime = builder.build().unwrap();
        let metrics = runtime.metrics();
        let alive = runtime.block_on(async {
            for _ in 0..20 {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(20) {}
                sleep(Duration::from_millis(1)).await;
            }
            metrics.num_alive_tasks()
        });
        // The workers park.
        thread::sleep(Duration::from_millis(100));
        let workers = || 0..metrics.num_workers();
        let busy: Duration = workers().map(|worker| metrics.worker_total_busy_duration(worker)).sum();
        let polls: u64 = workers().map(|worker| metrics.worker_poll_count(worker)).sum();
        let noops: u64 = workers().map(|worker| metrics.worker_noop_count(worker)).sum();
        let hooks = hooked.load(Ordering::Relaxed);
        println!("{flavor} alive {alive} polls {polls} hooks {hooks} busy_us {} noops {noops}", busy.as_micros());
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path root/Cargo.toml --target-dir target > seen
cat seen
# The work is 400 ms by the clock.
awk '$3 != 0 || $5 != 0 || $7 != 0 { exit 1 } $1 == "multi" && ($9 > 40000 || $11 < 15) { exit 1 }
    $1 == "current" && $9 < 380000 { exit 1 }' seen || { echo "changed: the body is counted otherwise" >&2; exit 1; }
