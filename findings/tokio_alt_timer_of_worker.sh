#!/usr/bin/env bash
# tokio 1.54.1 with `tokio_unstable`, `Builder::enable_alt_timer()`: timers of a worker whose poll lasts.
#
# Guess: another implementation of the same timers, with less contention among many workers, says the documentation. A runtime's timers
# fire as long as one worker is idle, which then waits for the next of them.
# Reality: a timer is in the wheel of the worker on which it was first polled, and no other worker looks there. Four workers, three of
# them idle. A worker polls tasks that wait for 0.3 s, and then one that blocks for 1 s. The last of these tasks goes on too late by
#
#                             `sleep(0.3 s)`    `timeout(0.3 s, request)`
#     default                 0.00 s            0.00 s
#     enable_alt_timer()      0.70 s            0.70 s
#
# Why it matters: one slow poll delays one task, and the tasks of its queue are stolen; that is what idle workers are for. With this
# option it delays each heartbeat, lease and time limit that began on its thread, and these look like faults of a peer. The delayed tasks
# are in no queue, are not runnable, and have no latency: `schedule_latency` counts from the wake. Where polls may be long the option
# costs more than it saves.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_alt_timer_of_worker.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p wheel/src
cat > wheel/Cargo.toml <<'TOML'
[package]
name = "wheel"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > wheel/src/main.rs <<'RS'
use std::future::pending;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

const WAIT: Duration = Duration::from_millis(300);

fn main() {
    for alt in [false, true] {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(4).enable_all();
        if alt {
            builder.enable_alt_timer();
        }
        let runtime = builder.build().unwrap();
        let late = runtime.block_on(async {
            let blocks = tokio::spawn(async {
                let tasks: Vec<_> = (0..20)
                    .map(|number| {
                        tokio::spawn(async move {
                            let due = Instant::now() + WAIT;
                            if number % 2 == 0 { sleep(WAIT).await } else { timeout(WAIT, pending::<()>()).await.unwrap_err(); }
                            due.elapsed()
                        })
                    })
                    .collect();
                // This worker polls them, or those that no other one has stolen, and then blocks.
                for _ in 0..50 { yield_now().await }
                thread::sleep(Duration::from_secs(1));
                tasks
            });
            let mut late = [Duration::ZERO; 2];
            for (number, task) in blocks.await.unwrap().into_iter().enumerate() {
                late[number % 2] = late[number % 2].max(task.await.unwrap());
            }
            late
        });
        println!("alt {alt} sleep_late_ms {} timeout_late_ms {}", late[0].as_millis(), late[1].as_millis());
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path wheel/Cargo.toml --target-dir target | tee seen
awk '$2 == "false" && ($4 > 300 || $6 > 300) { exit 1 } $2 == "true" && ($4 < 500 || $6 < 500) { exit 1 } END { if (NR != 2) exit 1 }' seen \
    || { echo "changed: timers of a blocked worker" >&2; exit 1; }
