#!/usr/bin/env bash
# tokio 1.54.1: the budget of a task that another task has woken on the same worker.
#
# Guess: each poll of a task begins with a budget of 128 operations that may be ready; what other tasks did before it does not count.
# Reality: a task that runs from the LIFO slot gets what the task that woke it has left over; both polls are one turn of the worker. A task
# uses some operations and then sends to a second one, which has 600 messages to read. Messages that the second reads in each poll:
#
#     operations of the first, the send in a oneshot    polls of the second
#     none                                              127  128  128  128   89
#     100                                                27  128  128  128  128   61
#     126                                                 1  128  128  128  128   87
#     100, with disable_lifo_slot()                     127  128  128  128   89
#
# Why it matters: a request, its answer and what they wake are one chain on a worker, and the last of it has the least. The task that was
# woken is polled at once, does one operation, and goes to the end of the queue with its messages unread. Its own code does not show
# the cause of the delay and of the second poll. A dump has it runnable at an await that is ready; a count of forced
# yields blames the task that did almost nothing. The first task is the one to look at.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_lifo_budget.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p budget/src
cat > budget/Cargo.toml <<'TOML'
[package]
name = "budget"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "sync", "time"] }
[workspace]
TOML
cat > budget/src/main.rs <<'RS'
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

thread_local! { static READ: Cell<u32> = const { Cell::new(0) } }

fn full(messages: u32) -> (mpsc::Sender<u32>, mpsc::Receiver<u32>) {
    let (sender, receiver) = mpsc::channel(600);
    for number in 0..messages { sender.try_send(number).unwrap() }
    (sender, receiver)
}

fn polls(operations: u32, lifo: bool) -> Vec<u32> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_time();
    if !lifo { builder.disable_lifo_slot(); }
    builder.build().unwrap().block_on(async {
        let (wake, woken) = oneshot::channel();
        let second = tokio::spawn(async move {
            let (_sender, mut receiver) = full(600);
            let mut reads = pin!(async {
                woken.await.unwrap();
                for _ in 0..600 { receiver.recv().await; READ.set(READ.get() + 1) }
            });
            let mut polls = Vec::new();
            poll_fn(|context| {
                let ready = reads.as_mut().poll(context);
                polls.push(READ.replace(0));
                ready
            }).await;
            polls.split_off(1)
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::spawn(async move {
            let (_sender, mut receiver) = full(operations);
            for _ in 0..operations { receiver.recv().await; }
            wake.send(()).unwrap();
        });
        second.await.unwrap()
    })
}

fn main() {
    for (operations, lifo) in [(0, true), (100, true), (126, true), (100, false)] {
        println!("{operations} {lifo} {:?}", polls(operations, lifo));
    }
}
RS
RUSTFLAGS="--cfg tokio_unstable" cargo run --quiet --manifest-path budget/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a task that is woken on the same worker has a budget of its own" >&2; exit 1; }
0 true [127, 128, 128, 128, 89]
100 true [27, 128, 128, 128, 128, 61]
126 true [1, 128, 128, 128, 128, 87]
100 false [127, 128, 128, 128, 89]
TXT
