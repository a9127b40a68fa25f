#!/usr/bin/env bash
# tokio-metrics 0.5.2 with tokio 1.54.1, `RuntimeMetrics::busy_ratio()` of an interval.
#
# Guess: a ratio, 0 for an idle runtime and 1 for one whose workers all work; a worker that computes all through the interval
# adds its share. (Its reporter for the crate metrics declares the figure as a percentage.)
# Reality: it is the sum of all workers' busy time over the interval's length, and a worker's busy time grows only after its
# poll. One worker in a poll of 600 ms, read 300 ms into it and after its end, and then two workers at work all the time:
#
#     inside the poll      0.00      though the worker computed all through the interval
#     after it             1.88      the whole poll counts in the interval in which it ended
#     two busy workers     1.85      their limit is 2, not 1
#
# Why it matters: a handler that blocks its worker looks like an idle service for as long as it does so, which is when an operator
# looks; then like one of almost 200 %. "Above 0.9" fires too late for it, and at a load of an eighth where there are eight
# workers. Divide by the number of workers, and show beside it which worker is inside a poll, and since when.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_metrics_busy_ratio.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p ratio/src
cat > ratio/Cargo.toml <<'TOML'
[package]
name = "ratio"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
tokio-metrics = { version = "=0.5.2", default-features = false, features = ["rt"] }
[workspace]
TOML
cat > ratio/src/main.rs <<'RS'
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio_metrics::RuntimeMonitor;

fn runtime(workers: usize) -> Runtime { Builder::new_multi_thread().worker_threads(workers).build().unwrap() }

fn main() {
    let one = runtime(1);
    let monitor = RuntimeMonitor::new(one.handle());
    let mut intervals = monitor.intervals();
    intervals.next();
    let (begun, begins) = std::sync::mpsc::channel();
    let blocked = one.spawn(async move { begun.send(()).unwrap(); sleep(Duration::from_millis(600)) });
    begins.recv().unwrap();
    sleep(Duration::from_millis(300));
    println!("inside {:.2}", intervals.next().unwrap().busy_ratio());
    one.block_on(blocked).unwrap();
    // The worker parks, and hands over its figures.
    sleep(Duration::from_millis(20));
    println!("after {:.2}", intervals.next().unwrap().busy_ratio());

    let two = runtime(2);
    let monitor = RuntimeMonitor::new(two.handle());
    let mut intervals = monitor.intervals();
    intervals.next();
    let works = || two.spawn(async {
        let until = Instant::now() + Duration::from_millis(600);
        while Instant::now() < until {
            sleep(Duration::from_millis(2));
            tokio::task::yield_now().await;
        }
    });
    let tasks = [works(), works()];
    sleep(Duration::from_millis(550));
    println!("two {:.2}", intervals.next().unwrap().busy_ratio());
    for task in tasks { two.block_on(task).unwrap() }
}
RS
cargo run --quiet --manifest-path ratio/Cargo.toml --target-dir target > seen
cat seen
# Bounds are wide: the machine may be busy.
awk '$1 == "inside" { inside = $2 } $1 == "after" { after = $2 } $1 == "two" { two = $2 }
    END { exit !(inside < 0.2 && after > 1.2 && two > 1.2) }' seen \
    || { echo "changed: busy_ratio is a ratio" >&2; exit 1; }
