#!/usr/bin/env bash
# tokio-util 0.7.20 with tokio 1.54.1, `DelayQueue`: the order of entries with one deadline.
#
# Guess: it is a queue: entries with the same deadline come out in the order in which they were put in. At least it is the same order
# each time.
# Reality: a slot of the queue's timer wheel is a stack, and each time that the wheel hands entries down to a finer slot it turns them over.
# How often it does so depends on the delay and on the millisecond. Five entries, put in one after the other with one deadline:
#
#     delay, in a new queue            come out as          tasks with `sleep_until` instead
#     20 ms      one slot              5 4 3 2 1            1 2 3 4 5
#     500 ms     two slots             1 2 3 4 5            1 2 3 4 5
#     4500 ms    three slots           5 4 3 2 1            1 2 3 4 5
#     20 ms, 40 times in one queue     27 times 5 4 3 2 1, 13 times 1 2 3 4 5
#
# Why it matters: retries, steps and expiries that were put in together for one time are handled backwards or in order as the clock has
# it. A test with a new queue and a delay of 1 s never sees it; with 20 ms in production the steps of some orders are reversed, and
# which entry waited longest does not say which is next. Put a number beside each entry and sort what one wake-up brings.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_delay_queue_order.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p expiries/src
cat > expiries/Cargo.toml <<'TOML'
[package]
name = "expiries"
version = "0.0.0"
edition = "2024"
[dependencies]
futures-util = { version = "=0.3.34", default-features = false }
tokio = { version = "=1.54.1", features = ["rt", "sync", "time"] }
tokio-util = { version = "=0.7.20", features = ["time"] }
[workspace]
TOML
cat > expiries/src/main.rs <<'RS'
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::time::DelayQueue;

fn shown(order: &[usize]) -> String {
    order.iter().map(usize::to_string).collect()
}

/// Five entries for one time, as they come out.
async fn drained(queue: &mut DelayQueue<usize>, deadline: Instant) -> String {
    for number in 1..=5 {
        queue.insert_at(number, deadline);
    }
    let mut order = Vec::new();
    while let Some(entry) = queue.next().await {
        order.push(entry.into_inner());
    }
    shown(&order)
}

async fn slept(deadline: Instant) -> String {
    let (done, mut over) = mpsc::unbounded_channel();
    for number in 1..=5 {
        let done = done.clone();
        tokio::spawn(async move {
            sleep_until(deadline).await;
            done.send(number).unwrap();
        });
    }
    drop(done);
    let mut order = Vec::new();
    while let Some(number) = over.recv().await {
        order.push(number);
    }
    shown(&order)
}

fn main() {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        for delay in [20, 500, 4500] {
            let deadline = Instant::now() + Duration::from_millis(delay);
            let queue = drained(&mut DelayQueue::new(), deadline).await;
            let sleeps = slept(Instant::now() + Duration::from_millis(delay)).await;
            println!("{delay} ms: queue {queue} sleeps {sleeps}");
        }
        let mut queue = DelayQueue::new();
        let mut seen = BTreeMap::new();
        for _ in 0..40 {
            *seen.entry(drained(&mut queue, Instant::now() + Duration::from_millis(20)).await).or_insert(0) += 1;
        }
        println!("40 times: {seen:?}");
    });
}
RS
cargo run --quiet --manifest-path expiries/Cargo.toml --target-dir target > seen
cat seen
grep -v '^40 times' seen | diff - <(printf '%s\n' '20 ms: queue 54321 sleeps 12345' '500 ms: queue 12345 sleeps 12345' \
    '4500 ms: queue 54321 sleeps 12345') || { echo "changed: entries of one deadline come out in another order" >&2; exit 1; }
# The numbers depend on when each round begins.
grep -qE '^40 times: \{"12345": [0-9]+, "54321": [0-9]+\}$' seen || { echo "changed: one order, or a third" >&2; exit 1; }
