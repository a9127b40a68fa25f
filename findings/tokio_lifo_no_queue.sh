#!/usr/bin/env bash
# tokio 1.54.1: a task that is woken by a poll which then lasts, while another worker is idle.
#
# Guess: a woken task is in a queue, and an idle worker steals it. In any case it is counted: `worker_local_queue_depth` is the number
# of tasks scheduled in the worker's local queue, `global_queue_depth` that of the shared one.
# Reality: the task is in its waker's LIFO slot, which no other worker takes from and no figure has. Two workers, one idle; a poll
# that wakes one task and then computes for 1 s, looked at after 500 ms:
#
#                                    woken task ran after    global depth    local depths
#     default                        1.0 s                   0               0, 0
#     disable_lifo_slot()            0.0 s                   0               0, 0
#     default, it wakes two tasks    1.0 s and 0.0 s         0               0, 0
#
# The second of two goes into the slot, the first from there to the queue, from which the idle worker takes it.
#
# Why it matters: a handler that sends an answer, or notifies, and then blocks or computes delays the task that it has just woken by
# all of that time, with idle workers beside it. An operator sees idle workers and empty queues and rules the scheduler out. Only a
# time stamp at the wake shows the delay.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_lifo_no_queue.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p slot/src
cat > slot/Cargo.toml <<'TOML'
[package]
name = "slot"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "sync"] }
[workspace]
TOML
cat > slot/src/main.rs <<'RS'
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

fn ms(length: u64) -> Duration { Duration::from_millis(length) }

fn look(name: &str, lifo: bool, woken: usize) {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2);
    if !lifo {
        builder.disable_lifo_slot();
    }
    let runtime = builder.build().unwrap();
    let (ran, runs) = channel();
    let wakes: Vec<oneshot::Sender<Instant>> = (0..woken)
        .map(|_| {
            let (wake, woken) = oneshot::channel::<Instant>();
            let ran = ran.clone();
            runtime.spawn(async move {
                let sent = woken.await.unwrap();
                ran.send(sent.elapsed().as_millis()).unwrap();
            });
            wake
        })
        .collect();
    // All of them wait, and both workers sleep.
    thread::sleep(ms(200));
    runtime.spawn(async move {
        wakes.into_iter().for_each(|wake| wake.send(Instant::now()).unwrap());
        thread::sleep(ms(1000));
    });
    thread::sleep(ms(500));
    let metrics = runtime.metrics();
    let depths = metrics.global_queue_depth() + metrics.worker_local_queue_depth(0) + metrics.worker_local_queue_depth(1);
    let mut delays: Vec<u128> = runs.iter().take(woken).collect();
    delays.sort_unstable();
    let delays: Vec<String> = delays.iter().map(|delay| delay.to_string()).collect();
    println!("{name} depths {depths} delays_ms {}", delays.join(" "));
}

fn main() {
    look("default", true, 1);
    look("no_slot", false, 1);
    look("two", true, 2);
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path slot/Cargo.toml --target-dir target > seen
cat seen
# The machine may be busy; half a second lies between "at once" and "after the poll".
awk '$3 != 0 { exit 1 } $1 == "default" && $5 < 900 { exit 1 } $1 == "no_slot" && $5 > 500 { exit 1 }
    $1 == "two" && ($5 > 500 || $6 < 900) { exit 1 }' seen || { echo "changed: the slot is counted, or stolen from" >&2; exit 1; }
