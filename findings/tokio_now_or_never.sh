#!/usr/bin/env bash
# tokio 1.54.1 with futures 0.3.34, `now_or_never()`: asking a future of tokio once whether it is ready.
#
# Guess: `Some` if the thing is there and `None` if it is not. `receiver.recv().now_or_never()` in a loop takes all that is in the channel,
# as `try_recv()` does.
# Reality: the answer is `None`, too, when the task has used up its budget of 128 operations, and stays so until the task has yielded. All
# things are there:
#
#     a channel with 1000 messages, emptied by     in a task    in `block_on`    on a thread
#     recv().now_or_never()                        128          128              1000
#     try_recv()                                   1000         1000             1000
#
#     asked in the task after 128 operations                           answer
#     a oneshot that was sent to, a free mutex, a free semaphore       None
#     a watch with a new value, a sleep that is over, a finished task  None
#     a Notify with a permit                                           Some
#
# Why it matters: "take what is there" at the end of a batch, before a flush or at a shutdown leaves all but 128 messages behind, and
# "has the client cancelled?", "is the task over?" are answered no, without an error. Tests have fewer than 128 messages, or
# run on a thread without a runtime. Where a type has `try_recv`, `try_lock`, `try_acquire` or `is_finished`, ask these; elsewhere put
# `tokio::task::coop::unconstrained` around the future.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_now_or_never.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p now/src
cat > now/Cargo.toml <<'TOML'
[package]
name = "now"
version = "0.0.0"
edition = "2024"
[dependencies]
futures = "=0.3.34"
tokio = { version = "=1.54.1", features = ["rt", "sync", "time"] }
[workspace]
TOML
cat > now/src/main.rs <<'RS'
use futures::FutureExt;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::coop::unconstrained;
use tokio::time::{Duration, Instant, sleep_until};

fn empties(mut take: impl FnMut(&mut mpsc::Receiver<u32>) -> bool) -> u32 {
    let (sender, mut receiver) = mpsc::channel(1000);
    for number in 0..1000 { sender.try_send(number).unwrap() }
    let mut taken = 0;
    while take(&mut receiver) { taken += 1 }
    taken
}

fn by_future() -> u32 { empties(|receiver| receiver.recv().now_or_never().flatten().is_some()) }
fn by_try() -> u32 { empties(|receiver| receiver.try_recv().is_ok()) }

fn asked(name: &str, future: impl Future) { println!("{name} {}", future.now_or_never().is_some()) }

async fn without_budget() {
    let finished = tokio::spawn(async {});
    tokio::task::yield_now().await;
    println!("task {} {}", by_future(), by_try());
    let (sender, receiver) = oneshot::channel();
    sender.send(()).unwrap();
    asked("oneshot", receiver);
    asked("mutex", Mutex::new(()).lock());
    asked("semaphore", Semaphore::new(1).acquire());
    let (sender, mut receiver) = watch::channel(0);
    sender.send(1).unwrap();
    asked("watch", receiver.changed());
    asked("sleep", sleep_until(Instant::now() - Duration::from_secs(1)));
    asked("finished", finished);
    let notify = Notify::new();
    notify.notify_one();
    asked("notify", notify.notified());
    asked("unconstrained_mutex", unconstrained(Mutex::new(()).lock()));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    println!("thread {} {}", by_future(), by_try());
    runtime.block_on(async { println!("block_on {} {}", by_future(), by_try()) });
    runtime.block_on(async { tokio::spawn(without_budget()).await.unwrap() });
}
RS
cargo run --quiet --manifest-path now/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: now_or_never sees what is there without budget" >&2; exit 1; }
thread 1000 1000
block_on 128 1000
task 128 1000
oneshot false
mutex false
semaphore false
watch false
sleep false
finished false
notify true
unconstrained_mutex true
TXT
