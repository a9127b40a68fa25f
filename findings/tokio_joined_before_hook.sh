#!/usr/bin/env bash
# tokio 1.54.1, what has happened to a task when its `JoinHandle` is ready.
#
# Guess: all of it. The documentation calls the hook `on_task_terminate` "just after a task is terminated", and a joined task is no
# longer alive: after `handle.await` the hook has run, and `num_alive_tasks()` does not count the task.
# Reality: the handle is ready first; then the hook runs, then the task leaves the list of those alive. A hook that waits until it is
# let go, one task, two workers, looked at after `handle.await`:
#
#                            is_finished   joined   hooks begun / over   num_alive_tasks
#     the hook waits         true          yes      1 / 0                1
#     the hook was let go    true          yes      1 / 1                0
#
# A task that was aborted comes in the same order.
#
# Why it matters: a table of tasks that is kept by hooks, and a count by `num_alive_tasks()`, have tasks in them that the program has
# joined. A check for leaks after the last join fails now and then, where the worker was interrupted in between, and a graceful shutdown
# that waits for its handles and then writes down the hook's sums loses the last ones. A slow hook delays no join, so no join shows it.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_joined_before_hook.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p joined/src
cat > joined/Cargo.toml <<'TOML'
[package]
name = "joined"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
[workspace]
TOML
cat > joined/src/main.rs <<'RS'
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, RuntimeMetrics};

static LET_GO: AtomicBool = AtomicBool::new(false);
static BEGUN: AtomicU64 = AtomicU64::new(0);
static OVER: AtomicU64 = AtomicU64::new(0);

fn wait_until(true_at_last: impl Fn() -> bool) {
    let begun = Instant::now();
    while !true_at_last() && begun.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(1));
    }
}

fn show(what: &str, metrics: &RuntimeMetrics) {
    let (begun, over) = (BEGUN.load(Ordering::SeqCst), OVER.load(Ordering::SeqCst));
    println!("{what}: hooks {begun} {over} alive {}", metrics.num_alive_tasks());
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .on_task_terminate(|_| {
            BEGUN.fetch_add(1, Ordering::SeqCst);
            wait_until(|| LET_GO.load(Ordering::SeqCst));
            OVER.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    // A worker that ends runs the hook, too: none does here.
    let metrics = runtime.metrics();
    for abort in [false, true] {
        LET_GO.store(false, Ordering::SeqCst);
        BEGUN.store(0, Ordering::SeqCst);
        OVER.store(0, Ordering::SeqCst);
        let handle = if abort { runtime.spawn(pending()) } else { runtime.spawn(async {}) };
        if abort {
            handle.abort();
        }
        let finished = handle.abort_handle();
        let cancelled = runtime.block_on(handle).is_err();
        let finished = finished.is_finished();
        wait_until(|| BEGUN.load(Ordering::SeqCst) > 0);
        show(&format!("finished {finished} cancelled {cancelled}"), &metrics);
        LET_GO.store(true, Ordering::SeqCst);
        wait_until(|| OVER.load(Ordering::SeqCst) > 0 && metrics.num_alive_tasks() == 0);
        show("let go", &metrics);
    }
    runtime.shutdown_background();
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path joined/Cargo.toml --target-dir target | tee seen
cat > expected <<'TXT'
finished true cancelled false: hooks 1 0 alive 1
let go: hooks 1 1 alive 0
finished true cancelled true: hooks 1 0 alive 1
let go: hooks 1 1 alive 0
TXT
diff expected seen || { echo "changed" >&2; exit 1; }
