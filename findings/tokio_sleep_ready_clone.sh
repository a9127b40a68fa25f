#!/usr/bin/env bash
# tokio 1.54.1: which leaves clone the waker in the poll that returns Ready.
#
# Guess: none. A future clones the waker when it returns Pending, because it wants to be polled again; one that is ready has no use
# for it.
# Reality: so it is for Notify, mpsc, oneshot, Mutex and JoinHandle. A Sleep is the exception: it registers before it looks at its
# deadline, so the poll in which it is over clones the waker, too. That clone is kept until the Sleep is dropped; a JoinHandle that
# is ready keeps its earlier one, the others keep none:
#
#                                 clones in the pending poll   in the ready poll   kept after it
#     Notify, recv, oneshot, lock                          1                   0               0
#     JoinHandle                                           1                   0               1
#     Sleep                                                1                   1               1
#
# Why it matters: a tool that takes a clone for "the task waits here" sees a wait at a timer that is over whenever a task goes on
# after a sleep, and a `pin!`ned Sleep that has fired keeps a waker of its task that nothing will ever wake: a count of wakers above
# zero does not say that a task can be woken.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_sleep_ready_clone.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p clones/src
cat > clones/Cargo.toml <<'TOML'
[package]
name = "clones"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "sync", "time"] }
[workspace]
TOML
cat > clones/src/main.rs <<'RS'
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::sleep;

static CLONES: AtomicUsize = AtomicUsize::new(0);
static KEPT: AtomicIsize = AtomicIsize::new(0);
static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        CLONES.fetch_add(1, Relaxed);
        KEPT.fetch_add(1, Relaxed);
        RawWaker::new(data, &VTABLE)
    },
    |_| {
        KEPT.fetch_sub(1, Relaxed);
    },
    |_| {},
    |_| {
        KEPT.fetch_sub(1, Relaxed);
    },
);

/// Polls once, with a waker that no leaf takes for the one it has. Returns whether it is ready, and the clones.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> (bool, usize) {
    let before = CLONES.load(Relaxed);
    let data: *const u8 = Box::leak(Box::new(0));
    // SAFETY: the functions of the table do nothing with the data.
    let waker = std::mem::ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data.cast(), &VTABLE)) });
    let ready = future.poll(&mut Context::from_waker(&waker)).is_ready();
    (ready, CLONES.load(Relaxed) - before)
}

/// Polls before and after `make_ready`.
async fn look<F: Future>(name: &str, future: F, make_ready: impl AsyncFnOnce()) {
    let mut future = pin!(future);
    let kept = KEPT.load(Relaxed);
    let (ready, pending_clones) = poll(future.as_mut());
    assert!(!ready);
    make_ready().await;
    let (ready, ready_clones) = poll(future.as_mut());
    assert!(ready);
    println!("{name} {pending_clones} {ready_clones} {}", KEPT.load(Relaxed) - kept);
}

async fn all() {
    let notify = Notify::new();
    look("notify", notify.notified(), async || notify.notify_one()).await;
    let (sender, mut receiver) = mpsc::channel(1);
    look("recv", receiver.recv(), async || sender.try_send(1).unwrap()).await;
    let (sender, receiver) = oneshot::channel();
    look("oneshot", receiver, async || sender.send(1).unwrap()).await;
    let lock = Arc::new(Mutex::new(()));
    let guard = lock.clone().lock_owned().await;
    look("lock", lock.lock(), async || drop(guard)).await;
    let task = tokio::spawn(async {});
    look("join", task, async || tokio::task::yield_now().await).await;
    look("sleep", sleep(Duration::from_millis(20)), async || sleep(Duration::from_millis(60)).await).await;
}

fn main() {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(all());
}
RS
cargo run --quiet --manifest-path clones/Cargo.toml > seen
cat seen
diff seen - << 'SEEN' || { echo "tokio_sleep_ready_clone.sh: tokio behaves otherwise now" >&2; exit 1; }
notify 1 0 0
recv 1 0 0
oneshot 1 0 0
lock 1 0 0
join 1 0 1
sleep 1 1 1
SEEN
echo "as found"
