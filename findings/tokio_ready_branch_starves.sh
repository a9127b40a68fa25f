#!/usr/bin/env bash
# tokio 1.54.1 with futures 0.3.34: two futures in one task, one of which is always ready.
#
# Guess: tokio ends a poll after 128 operations that were ready, so the busy future returns Pending now and then. The other one, a timer
# or a oneshot, is then polled and goes on, also where the order is fixed.
# Reality: it is polled, but the budget is of the task, and it is used up. A leaf of tokio without budget returns Pending whether it is ready
# or not. At the next poll the busy future takes all of the budget again. A future that locks a free mutex for 1 s, beside one that should
# end after 50 ms, and when that ended:
#
#     written as                                 a sleep of 50 ms    a oneshot, sent to    a CancellationToken
#     tokio::select! { biased; busy, other }     1000 ms             1000 ms               50 ms
#     tokio::select! { busy, other }             50 ms               50 ms                 50 ms
#     futures::join!(busy, other)                1000 ms             1000 ms               50 ms
#     futures::future::join_all([busy, other])   1000 ms             1000 ms               50 ms
#     tokio::join!(busy, other)                  50 ms               50 ms                 50 ms
#     timeout(50 ms, busy)                       50 ms
#
# A token asks for no budget; the macros of tokio change their order; `timeout` looks at its timer without.
#
# Why it matters: under load a reader of a full channel is the busy future, and the deadline, heartbeat or answer in the same task does
# not come through while the load lasts. A dump has the task between polls of a few microseconds, at a timer whose deadline is long over
# or at a oneshot that has its value; neither the driver nor the sender is at fault. The other future first, or a task of its own, cures it.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_ready_branch_starves.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p beside/src
cat > beside/Cargo.toml <<'TOML'
[package]
name = "beside"
version = "0.0.0"
edition = "2024"
[dependencies]
futures = "=0.3.34"
tokio = { version = "=1.54.1", features = ["macros", "rt-multi-thread", "sync", "time"] }
tokio-util = "=0.7.20"
[workspace]
TOML
cat > beside/src/main.rs <<'RS'
use futures::future::{BoxFuture, FutureExt, join_all};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const SHORT: Duration = Duration::from_millis(50);

/// Takes a free lock for a second.
async fn busy() {
    let lock = tokio::sync::Mutex::new(());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        drop(lock.lock().await);
    }
}

fn other(kind: &str) -> BoxFuture<'static, ()> {
    match kind {
        "sleep" => sleep(SHORT).boxed(),
        "oneshot" => {
            let (sender, receiver) = oneshot::channel();
            std::thread::spawn(move || {
                std::thread::sleep(SHORT);
                sender.send(())
            });
            receiver.map(|_| ()).boxed()
        }
        _ => {
            let token = CancellationToken::new();
            let cancels = token.clone();
            std::thread::spawn(move || {
                std::thread::sleep(SHORT);
                cancels.cancel();
            });
            async move { token.cancelled().await }.boxed()
        }
    }
}

/// When the other of the two ended, in ms; the sum of both where that did not end at all.
async fn ended(form: &str, kind: &str) -> u128 {
    let start = Instant::now();
    let at = Arc::new(Mutex::new(None));
    let (notes, other) = (at.clone(), other(kind));
    let other = async move {
        other.await;
        *notes.lock().unwrap() = Some(start.elapsed());
    };
    match form {
        "biased" => tokio::select! { biased; _ = busy() => {}, _ = other => {} },
        "select" => tokio::select! { _ = busy() => {}, _ = other => {} },
        "futures::join" => drop(futures::join!(busy(), other)),
        "join_all" => drop(join_all([busy().boxed(), other.boxed()]).await),
        "tokio::join" => drop(tokio::join!(busy(), other)),
        _ => drop(timeout(SHORT, busy()).await),
    }
    let at = at.lock().unwrap().unwrap_or(start.elapsed());
    at.as_millis()
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    for form in ["biased", "select", "futures::join", "join_all", "tokio::join"] {
        for kind in ["sleep", "oneshot", "token"] {
            println!("{form} {kind} {}", tokio::spawn(ended(form, kind)).await.unwrap());
        }
    }
    println!("timeout - {}", ended("timeout", "sleep").await);
}
RS
cargo run --quiet --manifest-path beside/Cargo.toml --target-dir target > seen
cat seen
awk '{ late = ($1 ~ /biased|futures::join|join_all/) && $2 != "token" } late != ($3 >= 1000) { exit 1 }' seen ||
    { echo "changed: a future without budget is starved elsewhere" >&2; exit 1; }
