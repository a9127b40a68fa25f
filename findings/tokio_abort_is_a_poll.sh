#!/usr/bin/env bash
# tokio 1.54.1: the abort of a task that waits, or never ran, is a poll in the hooks, in the count and in the histogram of poll times.
#
# Guess: `on_before_task_poll` is called before a future is polled. A task that is aborted while it waits, or before its first poll, is dropped,
# which is no poll.
# Reality: a worker takes the aborted task from its queue as any other, calls the hook, drops the future, and calls the hook after it; the drop is a
# poll in all figures, with its time. One worker, a future that waits for ever and whose destructor takes 30 ms:
#
#                                           future polled    hooks before / after    worker_poll_count    polls of 16 ms and more
#     aborted while it waits                1                2 / 2                   2                    1
#     aborted before its first poll         0                1 / 1                   1                    1
#     in a JoinSet that is dropped          1                2 / 2                   2                    1
#     waits when the runtime is dropped     1                1 / 1                   1                    0
#
# Why it matters: "first poll" by the hook is also of tasks that never ran, so a start time, a queue time or a span that begins there is of nothing. A
# deadline that gives up a thousand requests shows as a thousand polls, and a slow poll may be a destructor: files that are
# closed, large buffers, guards of locks. Polls by a wrapper around the future are fewer than polls by the hook.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_abort_is_a_poll.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p aborted/src
cat > aborted/Cargo.toml <<'TOML'
[package]
name = "aborted"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread"] }
[workspace]
TOML
cat > aborted/src/main.rs <<'RS'
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, HistogramConfiguration, LogHistogram};
use tokio::task::JoinSet;

struct Waits(Arc<AtomicU64>);

impl Future for Waits {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.fetch_add(1, SeqCst);
        Poll::Pending
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        thread::sleep(Duration::from_millis(30));
    }
}

fn main() {
    for case in ["waiting", "before", "set", "shutdown"] {
        let [polled, before, after] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
        let (count_before, count_after) = (before.clone(), after.clone());
        // Buckets up to 16.8 ms, and one for the rest.
        let buckets = LogHistogram::builder().min_value(Duration::from_micros(1)).max_value(Duration::from_nanos(1 << 24));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_metrics_poll_time_histogram()
            .metrics_poll_time_histogram_configuration(HistogramConfiguration::log(buckets.build()))
            .on_before_task_poll(move |_| { count_before.fetch_add(1, SeqCst); })
            .on_after_task_poll(move |_| { count_after.fetch_add(1, SeqCst); })
            .build()
            .unwrap();
        let metrics = runtime.metrics();
        let future = Waits(polled.clone());
        let settle = || thread::sleep(Duration::from_millis(200));
        let mut extra = 0;
        match case {
            "waiting" => {
                let task = runtime.spawn(future);
                settle();
                task.abort();
                settle();
            }
            "before" => {
                // The only worker is busy until the task is aborted.
                extra = 1;
                let (free, busy) = mpsc::channel::<()>();
                let (began, begins) = mpsc::channel::<()>();
                runtime.spawn(async move { began.send(()).unwrap(); busy.recv().unwrap() });
                begins.recv().unwrap();
                runtime.spawn(future).abort();
                free.send(()).unwrap();
                settle();
            }
            "set" => {
                let mut set = JoinSet::new();
                set.spawn_on(future, runtime.handle());
                settle();
                drop(set);
                settle();
            }
            _ => {
                runtime.spawn(future);
                settle();
                drop(runtime);
            }
        }
        let last = metrics.poll_time_histogram_num_buckets() - 1;
        let slow = metrics.poll_time_histogram_bucket_count(0, last);
        let count = |of: &AtomicU64| of.load(SeqCst) - extra;
        println!(
            "{case}: polled {} hooks {} {} counted {} slow {slow}",
            polled.load(SeqCst), count(&before), count(&after), metrics.worker_poll_count(0) - extra
        );
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path aborted/Cargo.toml --target-dir target | tee seen
diff seen - <<'TXT' || { echo "changed: the drop of an aborted task is another number of polls" >&2; exit 1; }
waiting: polled 1 hooks 2 2 counted 2 slow 1
before: polled 0 hooks 1 1 counted 1 slow 1
set: polled 1 hooks 2 2 counted 2 slow 1
shutdown: polled 1 hooks 1 1 counted 1 slow 0
TXT
