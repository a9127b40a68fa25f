#!/usr/bin/env bash
# tokio 1.54.1, `block_in_place`: what the runtime's figures have of the poll that it is in.
#
# Guess: the poll is as long as it is, whether its work blocks the worker or asks it first. It is in the histogram of poll times, in the
# mean and in the worker's busy time; it did not return, after all.
# Reality: the call gives the worker's figures away with its queue, and the poll that goes on has none. It is counted, and has no time,
# also for the part before the call. Five tasks, one after the other, of 100 ms of computing and 100 ms of waiting:
#
#     the wait is                polls    in the histogram, above 50 ms    mean      busy
#     thread::sleep              5        5                                82 ms     1.00 s
#     in block_in_place          5        0                                0 ms      0.00 s
#
# Why it matters: `block_in_place` is what one writes into a handler that was found to be slow. Its polls then leave every figure of slow
# polls, so the dashboard shows that it helped, whatever it did; a share of busy workers is too low by all the computing beside it. Other
# futures of the same task (`join!`, `select!`) wait as before, unseen. A time stamp before and after each poll of the future has it.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_in_place_unmeasured.sh: needs cargo" >&2; exit 2; }
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
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
[workspace]
TOML
cat > place/src/main.rs <<'RS'
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, HistogramConfiguration};
use tokio::task::block_in_place;

const PART: Duration = Duration::from_millis(100);

fn compute() {
    let begin = Instant::now();
    while begin.elapsed() < PART {}
}

fn main() {
    for (kind, wait) in [("sleep", (|| sleep(PART)) as fn()), ("in_place", || block_in_place(|| sleep(PART)))] {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_metrics_poll_time_histogram()
            .metrics_poll_time_histogram_configuration(HistogramConfiguration::linear(Duration::from_millis(50), 2))
            .build()
            .unwrap();
        for _ in 0..5 {
            runtime.block_on(runtime.spawn(async move { compute(); wait() })).unwrap();
            // The worker parks, and hands over its figures.
            sleep(PART);
        }
        let metrics = runtime.metrics();
        let (polls, slow) = (metrics.worker_poll_count(0), metrics.poll_time_histogram_bucket_count(0, 1));
        let (mean, busy) = (metrics.worker_mean_poll_time(0).as_millis(), metrics.worker_total_busy_duration(0).as_millis());
        println!("{kind} polls {polls} slow {slow} mean_ms {mean} busy_ms {busy}");
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path place/Cargo.toml --target-dir target > seen
cat seen
awk '$3 != 5 { exit 1 } $1 == "sleep" && ($5 != 5 || $7 < 50 || $9 < 900) { exit 1 } $1 == "in_place" && ($5 != 0 || $7 > 20 || $9 > 300) { exit 1 }
    END { if (NR != 2) exit 1 }' seen || { echo "changed: a poll with block_in_place has a time" >&2; exit 1; }
