#!/usr/bin/env bash
# tokio 1.54.1, `Semaphore::acquire_many` and `mpsc::Sender::reserve_many` while they wait.
#
# Guess: a waiting call has a place in the queue and nothing else. `available_permits()` is what no guard holds, and a channel is full
# when it has as many messages and reservations as it has room for.
# Reality: a waiting call takes what is free at once, and keeps it until it has all that it wants. A semaphore of 10 permits:
#
#                                            available_permits   try_acquire   acquire, for 50 ms
#     one permit held                        9                   Ok            Ok
#     and acquire_many(10) waits             0                   NoPermits     waits
#     and that call is dropped               9                   Ok            Ok
#
# A channel of 10 with one message, while reserve_many(10) waits: capacity() 0, len() 1, and try_send says Full.
#
# Why it matters: "permits in use = all - available", as gauges and log lines compute it, is 10 of 10 for a pool of which one is in
# use, for as long as one large call waits; a load shedder that asks `try_acquire` or `try_send` refuses all requests meanwhile.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_semaphore_hoard.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p hoard/src
cat > hoard/Cargo.toml <<'TOML'
[package]
name = "hoard"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "sync", "time"] }
[workspace]
TOML
cat > hoard/src/main.rs <<'RS'
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

async fn show(when: &str, semaphore: &Semaphore) {
    let free = semaphore.available_permits();
    let tried = semaphore.try_acquire().is_ok();
    let waited = timeout(Duration::from_millis(50), semaphore.acquire()).await.is_ok();
    println!("{when} free {free} try {tried} acquire {waited}");
}

fn many(count: u32, semaphore: &Arc<Semaphore>) -> JoinHandle<()> {
    let semaphore = semaphore.clone();
    tokio::spawn(async move { drop(semaphore.acquire_many(count).await) })
}

async fn look() {
    let semaphore = Arc::new(Semaphore::new(10));
    let held = semaphore.acquire().await.unwrap();
    show("held", &semaphore).await;
    let waits = many(10, &semaphore);
    yield_now().await;
    show("waits", &semaphore).await;
    waits.abort();
    waits.await.unwrap_err();
    show("dropped", &semaphore).await;
    drop(held);

    let (sender, receiver) = mpsc::channel(10);
    sender.try_send(1).unwrap();
    let reserves = sender.clone();
    tokio::spawn(async move { drop(reserves.reserve_many(10).await) });
    yield_now().await;
    println!("channel capacity {} len {} sent {}", sender.capacity(), receiver.len(), sender.try_send(2).is_ok());
}

fn main() {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(look());
}
RS
cargo run --quiet --manifest-path hoard/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a waiting call keeps something else" >&2; exit 1; }
held free 9 try true acquire true
waits free 0 try false acquire false
dropped free 9 try true acquire true
channel capacity 0 len 1 sent false
TXT
