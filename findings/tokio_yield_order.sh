#!/usr/bin/env bash
# tokio 1.54.1, `yield_now()`: in which order tasks run again, and which figure counts them meanwhile.
#
# Guess: the task goes to the end of a run queue, so tasks that yield take turns; a task that can run and waits for a worker is in the
# depth of some queue, as a woken one is.
# Reality: its waker is put on a stack beside the queues. The worker empties the stack from its top, once it has nothing else to do or looks
# at the driver, so every second round runs backwards. Four tasks that yield:
#
#     current_thread              1 2 3 4   4 3 2 1   1 2 3 4   4 3 2 1
#     multi_thread, one worker    4 1 2 3   4 3 2 1   4 1 2 3   4 3 2 1      4 was spawned last
#
# Forty tasks that can run, one worker, which is inside a poll of 500 ms:
#
#                               global_queue_depth    worker_local_queue_depth
#     have yielded              0                     0
#     woken by a Notify         0                     39, and one in the LIFO slot
#
# Why it matters: with one thread the last of a round is the first of the next. It is polled twice in a row, although it yielded to let
# others go on. Busy workers with queues of 0 read as "no backlog": a service whose tasks yield in long computations shows none, whatever
# the load. A tool that takes the wake for the beginning of the wait for a worker sees it too late by the time on the stack.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_yield_order.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export RUSTFLAGS="--cfg tokio_unstable"

mkdir -p turns/src
cat > turns/Cargo.toml <<'TOML'
[package]
name = "turns"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "rt-multi-thread", "sync"] }
[workspace]
TOML
cat > turns/src/main.rs <<'RS'
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::yield_now;

/// The order in which four tasks run, each of which yields four times.
async fn order() -> String {
    let turns = Arc::new(Mutex::new(String::new()));
    let spawns = turns.clone();
    tokio::spawn(async move {
        let all: Vec<_> = (1..=4)
            .map(|number| {
                let turns = spawns.clone();
                tokio::spawn(async move {
                    for _ in 0..4 {
                        *turns.lock().unwrap() += &number.to_string();
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in all {
            task.await.unwrap();
        }
    })
    .await
    .unwrap();
    turns.lock().unwrap().clone()
}

fn worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().unwrap()
}

/// The depths while a poll keeps the only worker and 40 tasks can run.
fn depths(yielded: bool) -> String {
    let runtime = worker();
    runtime.spawn(async move {
        let notify = Arc::new(Notify::new());
        for _ in 0..40 {
            let notify = notify.clone();
            tokio::spawn(async move {
                match yielded {
                    true => yield_now().await,
                    false => notify.notified().await,
                }
            });
        }
        tokio::spawn(async move {
            notify.notify_waiters();
            sleep(Duration::from_millis(500));
        });
        // The last one goes into the LIFO slot and runs first; so the one before it runs after the 40.
        tokio::spawn(async {});
    });
    sleep(Duration::from_millis(250));
    let metrics = runtime.metrics();
    let said = format!("global {} local {}", metrics.global_queue_depth(), metrics.worker_local_queue_depth(0));
    runtime.shutdown_background();
    said
}

fn main() {
    println!("current_thread {}", Builder::new_current_thread().build().unwrap().block_on(order()));
    println!("one worker {}", worker().block_on(order()));
    println!("yielded {}", depths(true));
    println!("woken {}", depths(false));
}
RS
cargo run --quiet --manifest-path turns/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: other turns, or a task that has yielded is in a queue" >&2; exit 1; }
current_thread 1234432112344321
one worker 4123432141234321
yielded global 0 local 0
woken global 0 local 39
TXT
