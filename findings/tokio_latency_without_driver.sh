#!/usr/bin/env bash
# tokio 1.54.1, feature `schedule-latency`: what the latency of a task says while its worker is blocked.
#
# Guess: the latency is how long a task that could run had to wait for a worker. A poll that blocks the only worker for 2 s shows as up
# to 2 s in `TaskMeta::schedule_latency()` and in the histogram, for every task that had something to do meanwhile.
# Reality: the time counts from the wake, and timers and sockets wake their tasks only when a worker looks at the driver, which the
# blocked one does not. Tasks that could go on 0.2 s after the begin of the block, in ms:
#
#     waits for                                   late by    schedule_latency
#     a message, sent by a thread                 1800       1800
#     a timer                                     1800       0
#     a socket, written to by a thread            1800       0
#
# The histogram has one poll above 1 s, that of the message.
#
# Why it matters: most tasks of a server wait for sockets and timers. A blocked worker delays all of them, and the figure that was made
# to show it says that they ran at once; an alert on it fires only where another thread sends to them. The long poll itself shows it, or
# the lateness of a timer whose deadline is known.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_latency_without_driver.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p latency/src
cat > latency/Cargo.toml <<'TOML'
[package]
name = "latency"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["io-util", "net", "rt-multi-thread", "schedule-latency", "sync", "time"] }
[workspace]
TOML
cat > latency/src/main.rs <<'RS'
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, HistogramConfiguration};
use tokio::sync::oneshot;
use tokio::task::Id;
use tokio::time::sleep_until;

const BLOCK: Duration = Duration::from_secs(2);
const DUE: Duration = Duration::from_millis(200);
static LATENCIES: Mutex<Option<HashMap<Id, Duration>>> = Mutex::new(None);

fn main() {
    *LATENCIES.lock().unwrap() = Some(HashMap::new());
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .enable_metrics_schedule_latency_histogram()
        .metrics_schedule_latency_histogram_configuration(HistogramConfiguration::linear(Duration::from_secs(1), 2))
        .on_before_task_poll(|meta| {
            // The last poll's stays.
            let latency = meta.schedule_latency().unwrap();
            LATENCIES.lock().unwrap().as_mut().unwrap().insert(meta.id(), latency);
        })
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, message) = oneshot::channel();
    let mut stream = runtime.block_on(TcpStream::connect(address)).unwrap();
    let mut peer = listener.accept().unwrap().0;

    let begin = Instant::now() + Duration::from_millis(500);
    let due = begin + DUE;
    let tasks = [
        ("message", runtime.spawn(async move { message.await.unwrap(); due.elapsed() })),
        ("timer", runtime.spawn(async move { sleep_until(due.into()).await; due.elapsed() })),
        ("socket", runtime.spawn(async move { stream.read_u8().await.unwrap(); due.elapsed() })),
    ];
    // All of them wait by then.
    let blocks = runtime.spawn(async move {
        sleep_until(begin.into()).await;
        thread::sleep(BLOCK);
    });
    let sender = thread::spawn(move || {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        send.send(()).unwrap();
        peer.write_all(b"x").unwrap();
        peer
    });
    runtime.block_on(async {
        for (name, task) in tasks {
            let id = task.id();
            let late = task.await.unwrap();
            let latency = LATENCIES.lock().unwrap().as_ref().unwrap()[&id];
            println!("{name} late_ms {} latency_ms {}", late.as_millis(), latency.as_millis());
        }
        blocks.await.unwrap();
    });
    sender.join().unwrap();
    // The worker parks, and hands over its figures.
    thread::sleep(Duration::from_millis(200));
    println!("histogram above_1s {}", runtime.metrics().schedule_latency_histogram_bucket_count(0, 1));
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path latency/Cargo.toml --target-dir target | tee seen
awk '$1 == "message" && ($3 < 1200 || $5 < 1200) { exit 1 } ($1 == "timer" || $1 == "socket") && ($3 < 1200 || $5 > 600) { exit 1 }
    $1 == "histogram" && $3 != 1 { exit 1 }' seen || { echo "changed: the latency has the time before the driver's wake" >&2; exit 1; }
