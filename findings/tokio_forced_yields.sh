#!/usr/bin/env bash
# tokio 1.54.1, `RuntimeMetrics::budget_forced_yield_count()`.
#
# Guess: the count "increases by one each time a task yields due to exhausting its budget", says the documentation; so it is never above
# the number of polls, and a task that waits, or ends, in time adds nothing.
# Reality: it counts the operation that takes the last of the budget, whatever comes after it. An operation that has to wait gives it
# back, and the next one takes it again. One task, one poll of it that ends in Ready each time:
#
#     in one poll                                               polls    counted
#     127 ready operations                                      1        0
#     128 ready operations                                      1        1
#     126 ready operations, then 50 empty channels are polled   1        0
#     127 ready operations, then 50 empty channels are polled   1        50
#     129 ready operations                                      2        1
#
# Only the last one has yielded.
#
# Why it matters: the figure is there to find tasks that never wait. A task that drains a batch of 127 and then waits on fifty channels
# at once, as `select!`, `join_all` or a `StreamMap` do, counts fifty for each of its polls, although it yields as it should; one that
# is forced to yield counts one. An alarm on the rate, or its quotient by polls, is above 1 for the good task and below it for the bad one.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_forced_yields.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p forced/src
cat > forced/Cargo.toml <<'TOML'
[package]
name = "forced"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "sync"] }
[workspace]
TOML
cat > forced/src/main.rs <<'RS'
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use tokio::sync::mpsc;

/// How often a task is polled that has so many operations ready and then looks at so many channels that are empty.
async fn polls(ready: u32, empty: u32) -> u32 {
    let (sender, mut receiver) = mpsc::channel(200);
    for number in 0..ready { sender.try_send(number).unwrap() }
    let mut channels: Vec<_> = (0..empty).map(|_| mpsc::channel::<u32>(1)).collect();
    let mut operations = pin!(async { for _ in 0..ready { receiver.recv().await; } });
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        std::task::ready!(operations.as_mut().poll(context));
        for (_, channel) in &mut channels { assert!(channel.poll_recv(context).is_pending()) }
        Poll::Ready(polls)
    }).await
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (ready, empty) in [(127, 0), (128, 0), (126, 50), (127, 50), (129, 0)] {
        let before = runtime.metrics().budget_forced_yield_count();
        let polls = runtime.block_on(async { tokio::spawn(polls(ready, empty)).await.unwrap() });
        println!("{ready} ready {empty} empty: polls {polls} counted {}", runtime.metrics().budget_forced_yield_count() - before);
    }
}
RS
RUSTFLAGS="--cfg tokio_unstable" cargo run --quiet --manifest-path forced/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: only yields are counted" >&2; exit 1; }
127 ready 0 empty: polls 1 counted 0
128 ready 0 empty: polls 1 counted 1
126 ready 50 empty: polls 1 counted 0
127 ready 50 empty: polls 1 counted 50
129 ready 0 empty: polls 2 counted 1
TXT
