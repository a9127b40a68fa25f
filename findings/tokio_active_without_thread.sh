#!/usr/bin/env bash
# tokio 1.54.1: `worker_park_unpark_count()` calls workers active that no thread runs: outside of `block_on`, and after a shutdown.
#
# Guess: "an odd count means that the worker is currently parked, an even count means that the worker is currently active", says the
# documentation, so an even count has a thread at work behind it.
# Reality: an even count is also that of a worker which does not exist. A current_thread runtime is active whenever no thread is in
# its `block_on`, with tasks that wait or that could run, and all workers of a runtime that was shut down are active for good:
#
#     current_thread, built, a task spawned         active
#     current_thread, inside block_on, waiting      parked
#     current_thread, after block_on                active
#     current_thread, dropped                       active
#     multi_thread, idle                            parked, parked
#     multi_thread, shut down                       active, active
#
# Why it matters: "active, and neither the count nor the number of polls has moved for ten seconds" is the usual test for a worker that blocks. It
# finds every current_thread runtime that a library keeps for its blocking calls between two of them, and each runtime that was dropped
# while its metrics are kept. There the busy time does not tell it apart either: it grows after a poll, not in it. Whether a thread is inside
# has to be known from somewhere else.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_active_without_thread.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p active/src
cat > active/Cargo.toml <<'TOML'
[package]
name = "active"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > active/src/main.rs <<'RS'
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, RuntimeMetrics};

fn show(what: &str, metrics: &RuntimeMetrics) {
    // Figures of a worker that parks are handed over before it does.
    thread::sleep(Duration::from_millis(200));
    let look = || -> Vec<u64> { (0..metrics.num_workers()).map(|worker| metrics.worker_park_unpark_count(worker)).collect() };
    let first = look();
    thread::sleep(Duration::from_millis(300));
    let moved = if look() == first { "" } else { ", moving" };
    let words: Vec<_> = first.iter().map(|count| if count % 2 == 1 { "parked" } else { "active" }).collect();
    println!("{what}: {}{moved}", words.join(", "));
}

fn main() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let metrics = runtime.metrics();
    runtime.spawn(std::future::pending::<()>());
    show("current built", &metrics);
    let inside = thread::spawn({
        let metrics = metrics.clone();
        move || show("current inside", &metrics)
    });
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1500)).await });
    inside.join().unwrap();
    show("current after", &metrics);
    drop(runtime);
    show("current dropped", &metrics);

    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let metrics = runtime.metrics();
    show("multi idle", &metrics);
    runtime.shutdown_timeout(Duration::from_secs(10));
    show("multi shut down", &metrics);
}
RS
cargo run --quiet --manifest-path active/Cargo.toml --target-dir target | tee seen
diff seen - <<'TXT' || { echo "changed: a worker without a thread is not active" >&2; exit 1; }
current built: active
current inside: parked
current after: active
current dropped: active
multi idle: parked, parked
multi shut down: active, active
TXT
