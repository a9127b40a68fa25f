#!/usr/bin/env bash
# tokio-metrics 0.5.2 with tokio 1.54.1, `TaskMonitor`: the idle duration of a future that does not wait to its end, or not alone.
#
# Guess: an instrumented future is polled, scheduled or idle, so the three durations add up to its life: `total_idle_duration` is how long
# it waited, of all that were instrumented.
# Reality: a wait is counted at its wake, from the last poll before it. A wait without a wake, or with polls in between, is not. Futures
# that sleep for 300 ms:
#
#     the future                                                     total_idle_duration    its life
#     to its end                                                     301 ms                 301 ms
#     looked at after 200 ms                                         0                      200 ms
#     dropped by `timeout` after 200 ms                              0                      200 ms
#     in a `join!` beside one that wakes the task every 5 ms         5 ms                   301 ms
#     the task around this `join!`, which lasts for 395 ms           395 ms                 395 ms
#
# Why it matters: a handler within a time-out is what is instrumented, and when a database hangs all its waits end by the time-out. The
# mean idle duration then falls to that of the requests which did not need it; the figure says that the service waits less than ever.
# Tasks with `select!` or `join!` inside `instrument` are fine, futures inside them are not. Instrument the whole task, and count
# time-outs apart.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_metrics_idle_at_wake.sh: needs cargo" >&2; exit 2; }
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
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
tokio-metrics = "=0.5.2"
[workspace]
TOML
cat > idle/src/main.rs <<'RS'
use std::time::Duration;
use tokio::time::{interval, sleep, timeout};
use tokio_metrics::TaskMonitor;

fn ms(length: u64) -> Duration { Duration::from_millis(length) }

fn idle(name: &str, monitor: &TaskMonitor) {
    println!("{name} idle_ms {}", monitor.cumulative().total_idle_duration.as_millis());
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let monitor = TaskMonitor::new();
    let task = tokio::spawn(monitor.instrument(sleep(ms(300))));
    sleep(ms(200)).await;
    idle("waits", &monitor);
    task.await.unwrap();
    idle("end", &monitor);

    let monitor = TaskMonitor::new();
    tokio::spawn(timeout(ms(200), monitor.instrument(sleep(ms(300))))).await.unwrap().unwrap_err();
    idle("timeout", &monitor);

    let monitor = TaskMonitor::new();
    let inner = monitor.instrument(sleep(ms(300)));
    let beside = async {
        let mut ticks = interval(ms(5));
        for _ in 0..80 { ticks.tick().await; }
    };
    tokio::spawn(async { tokio::join!(inner, beside) }).await.unwrap();
    idle("join", &monitor);

    let monitor = TaskMonitor::new();
    let beside = async {
        let mut ticks = interval(ms(5));
        for _ in 0..80 { ticks.tick().await; }
    };
    tokio::spawn(monitor.instrument(async { tokio::join!(sleep(ms(300)), beside) })).await.unwrap();
    idle("around_join", &monitor);
}
RS
cargo run --quiet --manifest-path idle/Cargo.toml --target-dir target | tee seen
awk '$1 ~ /^(waits|timeout)$/ && $3 != 0 { exit 1 } $1 == "end" && $3 < 290 { exit 1 } $1 == "join" && $3 > 100 { exit 1 }
    $1 == "around_join" && $3 < 290 { exit 1 } END { if (NR != 5) exit 1 }' seen || { echo "changed: which waits are idle time" >&2; exit 1; }
