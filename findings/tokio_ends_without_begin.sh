#!/usr/bin/env bash
# tokio 1.54.1, the hooks `on_task_spawn` and `on_task_terminate`: which tasks they are called for.
#
# Guess: both are called once for each task, so the difference of the two counts is the number of tasks that are alive. Closures of the
# blocking pool are tasks for both hooks or for neither; the runtime's own threads are none.
# Reality: the second is called for what has no begin, never a poll, and is no task in any figure: closures, and the workers themselves. A
# runtime of four workers; of each kind, one after the other:
#
#                                                   spawn    before a poll    terminate    num_alive_tasks
#     10 tasks of tokio::spawn                      10       10               10           0
#     10 closures of spawn_blocking                 0        0                10           0
#     10 tokio::fs::metadata                        0        0                10           0
#     a task with 10 block_in_place                 1        1                2            0
#     10 tasks of a LocalSet (documented)           0        0                0            0
#     drop of the runtime                           0        0                4
#
# Why it matters: a gauge that the hooks count up and down falls below zero with the first file that is opened, or, as an unsigned number,
# is 18 quintillion tasks. A map from ids to names or spans that asserts on an end without its begin fails in production and not in a test
# without files. The ends come on threads of the pool, where thread-locals of workers are empty. Count only ends whose begin was seen, or
# read `num_alive_tasks()`.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_ends_without_begin.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p ends/src
cat > ends/Cargo.toml <<'TOML'
[package]
name = "ends"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["fs", "rt-multi-thread", "time"] }
[workspace]
TOML
cat > ends/src/main.rs <<'RS'
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, block_in_place, spawn_blocking, spawn_local};

static SPAWNS: AtomicU64 = AtomicU64::new(0);
static POLLS: AtomicU64 = AtomicU64::new(0);
static ENDS: AtomicU64 = AtomicU64::new(0);

fn pause() { thread::sleep(Duration::from_millis(200)) }

fn counts(kind: &str) {
    println!("{kind} spawns {} polls {} ends {}", SPAWNS.swap(0, Relaxed), POLLS.swap(0, Relaxed), ENDS.swap(0, Relaxed));
}

fn look(kind: &str, runtime: &Runtime, run: impl Future<Output = ()>) {
    runtime.block_on(run);
    pause();
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    counts(kind);
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .on_task_spawn(|_| { SPAWNS.fetch_add(1, Relaxed); })
        .on_before_task_poll(|_| { POLLS.fetch_add(1, Relaxed); })
        .on_task_terminate(|_| { ENDS.fetch_add(1, Relaxed); })
        .build()
        .unwrap();
    look("tasks", &runtime, async { for _ in 0..10 { tokio::spawn(async {}).await.unwrap() } });
    look("closures", &runtime, async { for _ in 0..10 { spawn_blocking(|| {}).await.unwrap() } });
    look("files", &runtime, async { for _ in 0..10 { tokio::fs::metadata("/").await.unwrap(); } });
    look("in_place", &runtime, async { tokio::spawn(async { for _ in 0..10 { block_in_place(pause) } }).await.unwrap() });
    let local = LocalSet::new();
    look("local", &runtime, local.run_until(async { for _ in 0..10 { spawn_local(async {}).await.unwrap() } }));
    drop(runtime);
    counts("drop");
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path ends/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the hooks are called for other tasks" >&2; exit 1; }
tasks spawns 10 polls 10 ends 10
closures spawns 0 polls 0 ends 10
files spawns 0 polls 0 ends 10
in_place spawns 1 polls 1 ends 2
local spawns 0 polls 0 ends 0
drop spawns 0 polls 0 ends 4
TXT
