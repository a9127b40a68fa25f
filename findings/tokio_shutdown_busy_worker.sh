#!/usr/bin/env bash
# tokio 1.54.1, when a task stops after `shutdown_timeout`, `shutdown_background` or the drop of a runtime whose workers are busy.
#
# Guess: at its next `.await` that has to wait, as the documentation says that tasks run until they yield. A task that works for 2 ms and
# then asks another task stops within 2 ms.
# Reality: a worker looks for the shutdown only when it has nothing to do, or once in 61 turns, each of which can be up to four polls. As long
# as there is something to run, all tasks go on. Rounds of 2 ms of work after the shutdown began:
#
#                                                         one worker    two workers, one idle
#     rounds end in a question to another task            119           1
#     rounds end in `yield_now`                           28            1
#     rounds end in a sleep                               1             0
#     the same question, `event_interval(1)`              3             1
#
# The idle worker of the second column ends the tasks of both. `shutdown_timeout(100 ms)` returned after 100 ms and 45 rounds; 74 more came
# after it.
#
# Why it matters: overload is when a service is restarted, and then all workers are busy. Tasks go on writing after the time-out, beside
# whatever comes after the runtime; a drop of the runtime takes 61 polls of the slowest kind, 6 s for polls of 100 ms. A test on an idle
# machine sees none of it. A flag or a token that tasks look at is what ends them; `event_interval` bounds the rest.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_shutdown_busy_worker.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p rounds/src
cat > rounds/Cargo.toml <<'TOML'
[package]
name = "rounds"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "rt-multi-thread", "sync", "time"] }
[workspace]
TOML
cat > rounds/src/main.rs <<'RS'
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep;

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Question,
    Yield,
    Sleep,
}

async fn work(end: End, rounds: Arc<AtomicUsize>) {
    let (question, mut asked) = mpsc::channel(1);
    let (answer, mut answered) = mpsc::channel(1);
    tokio::spawn(async move {
        while asked.recv().await.is_some() && answer.send(()).await.is_ok() {}
    });
    loop {
        thread::sleep(Duration::from_millis(2));
        rounds.fetch_add(1, Ordering::SeqCst);
        match end {
            // The other task may have ended first.
            End::Question if question.send(()).await.is_err() || answered.recv().await.is_none() => return,
            End::Question => {}
            End::Yield => yield_now().await,
            End::Sleep => sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Rounds after the shutdown began: until it returned, and in all.
fn rounds(end: End, workers: usize, interval: u32, patience: Duration) -> (usize, usize) {
    let runtime = Builder::new_multi_thread().worker_threads(workers).event_interval(interval).enable_time().build().unwrap();
    let rounds = Arc::new(AtomicUsize::new(0));
    runtime.spawn(work(end, rounds.clone()));
    while rounds.load(Ordering::SeqCst) < 3 {
        thread::yield_now();
    }
    let before = rounds.load(Ordering::SeqCst);
    runtime.shutdown_timeout(patience);
    let returned = rounds.load(Ordering::SeqCst) - before;
    let mut all = returned;
    loop {
        thread::sleep(Duration::from_millis(200));
        match rounds.load(Ordering::SeqCst) - before {
            more if more == all => return (returned, all),
            more => all = more,
        }
    }
}

fn main() {
    let long = Duration::from_secs(60);
    for end in [End::Question, End::Yield, End::Sleep] {
        let seen = [1, 2].map(|workers| rounds(end, workers, 61, long).1);
        println!("{end:?} one_worker {} two_workers {}", seen[0], seen[1]);
    }
    let seen = [1, 2].map(|workers| rounds(End::Question, workers, 1, long).1);
    println!("event_interval(1) one_worker {} two_workers {}", seen[0], seen[1]);
    let (returned, all) = rounds(End::Question, 1, 61, Duration::from_millis(100));
    println!("timeout returned_after {returned} in_all {all}");
}
RS
cargo run --quiet --manifest-path rounds/Cargo.toml --target-dir target > seen
cat seen
awk '$1 == "Question" && ($3 < 50 || $5 > 10) { exit 1 } $1 == "Yield" && ($3 < 10 || $5 > 10) { exit 1 }
    $1 == "Sleep" && ($3 > 10 || $5 > 10) { exit 1 } $1 == "event_interval(1)" && ($3 > 10 || $5 > 10) { exit 1 }
    $1 == "timeout" && $5 < $3 + 20 { exit 1 }' seen || { echo "changed: busy workers look for a shutdown at other times" >&2; exit 1; }
