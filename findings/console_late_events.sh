#!/usr/bin/env bash
# console-subscriber 0.5.0 with tokio 1.54.1: how long it takes until a task is in the console.
#
# Guess: a second at most, the interval in which updates are published. Before each one the aggregator takes all events that have come;
# its source says "while let Some(event)". What cannot be kept is counted as dropped.
# Reality: it takes 127 events a second, and the rest waits in a buffer for 102,400. The loop polls tokio's mpsc channel, which after 128
# messages in a poll of a task returns Pending though it is not empty, and the aggregator takes that for the end. N tasks are spawned at
# once and stay; a client of the console's protocol counts how many it has been told of:
#
#     tasks, publish_interval    all are there after    most in one update    dropped
#     100, 1 s                   1 s                    100                   0
#     2000, 1 s                  16 s                   127                   0
#     2000, 100 ms               1.6 s                  127                   0
#
# A task of a request is one event; a Mutex, a channel, a sleep are several each.
#
# Why it matters: above 127 events a second the console shows the past, and falls back further each second: at 1,000 events it is 50 s
# late after a minute. Once the buffer is half full, events make the aggregator take more, so none is dropped and the delay stays. Tasks
# appear when they are over already, a task that is stuck now is not there, and nothing says so. A short `publish_interval` takes more.
# Code of one's own that drains a channel by polls until Pending does the same; `try_recv` does not.
set -euo pipefail
command -v cargo > /dev/null || { echo "console_late_events.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p late/src
cat > late/Cargo.toml <<'TOML'
[package]
name = "late"
version = "0.0.0"
edition = "2024"
[dependencies]
console-api = { version = "=0.9.0", features = ["transport"] }
console-subscriber = { version = "=0.5.0", default-features = false }
tokio = { version = "=1.54.1", features = ["macros", "rt", "time", "tracing"] }
tracing-subscriber = "=0.3.23"
[workspace]
TOML
cat > late/src/main.rs <<'RS'
use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use console_subscriber::ConsoleLayer;
use std::future::pending;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tracing_subscriber::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|number| number.parse().unwrap()).collect();
    let (count, interval) = (numbers[0] as usize, Duration::from_millis(numbers[1]));
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // The aggregator and its server have a thread and a runtime of their own, as with `console_subscriber::init()`.
    let layer = ConsoleLayer::builder().server_addr(address).publish_interval(interval).spawn();
    tracing_subscriber::registry().with(layer).init();
    sleep(Duration::from_secs(1)).await;
    let mut client = InstrumentClient::connect(format!("http://{address}")).await.unwrap();
    let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
    // What the client itself has started is told of before.
    while let Ok(update) = timeout(Duration::from_millis(2500), updates.message()).await {
        if update.unwrap().unwrap().task_update.is_none_or(|tasks| tasks.new_tasks.is_empty()) { break }
    }

    let begin = Instant::now();
    for _ in 0..count { tokio::spawn(pending::<()>()); }
    let (mut seen, mut most, mut dropped) = (0, 0, 0);
    while seen < count {
        let tasks = updates.message().await.unwrap().unwrap().task_update.unwrap_or_default();
        let new = tasks.new_tasks.iter().filter(|task| format!("{task:?}").contains("main.rs")).count();
        (seen, most, dropped) = (seen + new, most.max(new), dropped + tasks.dropped_events);
    }
    println!("{count} tasks, every {} ms: after_ms {} most {most} dropped {dropped}", interval.as_millis(), begin.elapsed().as_millis());
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo build --quiet --manifest-path late/Cargo.toml --target-dir target
{ target/debug/late 100 1000; target/debug/late 2000 1000; target/debug/late 2000 100; } | tee seen
awk '$11 > 0 || $9 > 128 { exit 1 } NR == 1 && ($7 > 5000 || $9 != 100) { exit 1 } NR == 2 && $7 < 14000 { exit 1 }
    NR == 3 && ($7 < 1400 || $7 > 10000) { exit 1 } END { if (NR != 3) exit 1 }' seen || { echo "changed: how many events are taken at once" >&2; exit 1; }
