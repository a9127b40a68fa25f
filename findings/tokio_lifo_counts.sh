#!/usr/bin/env bash
# tokio 1.54.1, `worker_poll_count` and the histogram of poll times, for two tasks that send each other messages.
#
# Guess: each poll of a task counts one, and adds one to the histogram, as "worker 0 has polled {} tasks" in the documentation
# says; so the sum over the workers is the number of calls of the hook `on_before_task_poll`.
# Reality: a task that the polled one wakes on the same worker runs next from the LIFO slot, up to three times in a row, and all
# of these polls are one for both. 4000 round trips on one worker:
#
#     hook 8002, worker_poll_count 2002, in the histogram 2002
#     hook 8002, worker_poll_count 8002, in the histogram 8002      with disable_lifo_slot()
#
# A bucket of the histogram so holds the time of four polls of two tasks, and `worker_mean_poll_time` is of such groups too.
#
# Why it matters: request and answer through channels is common in async programs. There polls per second are too low by up to
# four times, elsewhere they are exact, so two services do not compare. A slow poll in the histogram may be four polls of a
# quarter of that time each. Only the hooks count polls.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_lifo_counts.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p counts/src
cat > counts/Cargo.toml <<'TOML'
[package]
name = "counts"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "sync"] }
[workspace]
TOML
cat > counts/src/main.rs <<'RS'
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

fn main() {
    for lifo in [true, false] {
        let hooked = Arc::new(AtomicU64::new(0));
        let polls = hooked.clone();
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_metrics_poll_time_histogram();
        builder.on_before_task_poll(move |_| { polls.fetch_add(1, Ordering::Relaxed); });
        if !lifo { builder.disable_lifo_slot(); }
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let (orders, mut received) = mpsc::channel::<u32>(1);
            let (answers, mut answered) = mpsc::channel::<u32>(1);
            let asks = tokio::spawn(async move {
                for order in 0..4000 {
                    orders.send(order).await.unwrap();
                    answered.recv().await.unwrap();
                }
            });
            let serves = tokio::spawn(async move {
                while let Some(order) = received.recv().await { answers.send(order).await.unwrap() }
            });
            asks.await.unwrap();
            serves.await.unwrap();
        });
        // A worker hands over its figures when it parks.
        std::thread::sleep(Duration::from_millis(200));
        let metrics = runtime.metrics();
        let buckets = 0..metrics.poll_time_histogram_num_buckets();
        let histogram: u64 = buckets.map(|bucket| metrics.poll_time_histogram_bucket_count(0, bucket)).sum();
        let (hook, count) = (hooked.load(Ordering::Relaxed), metrics.worker_poll_count(0));
        println!("lifo {lifo} hook {hook} count {count} histogram {histogram}");
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo build --quiet --manifest-path counts/Cargo.toml --target-dir target
target/debug/counts > seen
cat seen
read -r _ on _ hooked _ counted _ histogram < <(sed -n 1p seen)
# 8002 and 2002 were seen; the first polls of the two may fall otherwise.
[ "$on" = true ] && [ "$hooked" -ge 7900 ] && [ "$((counted * 3))" -lt "$hooked" ] && [ "$histogram" = "$counted" ] \
    || { echo "changed: polls from the LIFO slot are counted" >&2; exit 1; }
read -r _ on _ hooked _ counted _ histogram < <(sed -n 2p seen)
[ "$on" = false ] && [ "$hooked" -ge 7900 ] && [ "$counted" = "$hooked" ] && [ "$histogram" = "$counted" ] \
    || { echo "changed: without the slot the counts differ" >&2; exit 1; }
