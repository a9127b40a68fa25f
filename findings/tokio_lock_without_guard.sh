#!/usr/bin/env bash
# tokio 1.54.1, and 1.53.1 beside it: a task that calls `lock()` with its budget used up.
#
# Guess: a task yields after 128 operations that were ready, and has done nothing of the next one by then. As long as `lock()` returns
# Pending the task does not have the lock.
# Reality: so it was. Since 1.54 the call takes the free lock first and asks for budget after it. Without budget it returns Pending and keeps
# the lock, without a guard, until the task is polled again. One worker polls a task that calls after a number of operations, and then
# another one for 300 ms. What a thread sees in the middle of these:
#
#     call, its object free                 after 100 operations    after 128, 1.53.1    after 128, 1.54.1
#     Mutex::lock                           returned, not free      pending, free        pending, not free
#     RwLock::read, RwLock::write           returned, not free      pending, free        pending, not free
#     Semaphore::acquire_many, of all       returned, none left     pending, all left    pending, none left
#     mpsc::Sender::reserve, of one         returned, capacity 0    pending, capacity 1  pending, capacity 0
#
# `select! { biased; busy, mutex.lock() }`, the first branch never out of work for 500 ms: the lock is free, no guard is ever made, and
# another task's `lock()` waits for all of the 500 ms.
#
# Why it matters: the lock is taken for as long as the task waits for its worker, which is longest under load. All other tasks wait for
# it, and none has it: a dump has only tasks that wait for the lock, a table of guards has no holder, and a check for deadlocks
# by the holder finds nothing. The one that has it is the task in `lock()` that can run. Lock before the loop, or call
# `consume_budget().await` before `lock()`.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_lock_without_guard.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p held/src
cat > Cargo.toml <<'TOML'
[package]
name = "held"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=VERSION", features = ["macros", "rt-multi-thread", "sync", "time"] }
[workspace]
TOML
cat > held/src/main.rs <<'RS'
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, mpsc};

/// Operations that are ready at once.
async fn ready(operations: u32) {
    let (sender, mut receiver) = mpsc::channel(200);
    for number in 0..operations { sender.try_send(number).unwrap() }
    for _ in 0..operations { receiver.recv().await.unwrap(); }
}

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_time().build().unwrap()
}

/// Whether the call has returned, and whether its object is free, while the only worker is in the next task.
fn look<T: Send + 'static>(name: &str, operations: u32, call: impl Future<Output = T> + Send + 'static, free: impl FnOnce() -> bool) {
    let runtime = runtime(1);
    let (returned, end) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (said, ended) = (returned.clone(), end.clone());
    let caller = runtime.spawn(async move {
        ready(operations).await;
        let _taken = call.await;
        said.store(true, SeqCst);
        ended.notified().await;
    });
    runtime.spawn(async { thread::sleep(Duration::from_millis(300)) });
    thread::sleep(Duration::from_millis(150));
    let call = if returned.load(SeqCst) { "returned" } else { "pending" };
    println!("{operations} {name} {call} free {}", free());
    end.notify_one();
    runtime.block_on(caller).unwrap();
}

fn main() {
    for operations in [100, 128] {
        let lock = Arc::new(Mutex::new(()));
        look("lock", operations, lock.clone().lock_owned(), || lock.try_lock().is_ok());
        let lock = Arc::new(RwLock::new(()));
        look("read", operations, lock.clone().read_owned(), || lock.try_write().is_ok());
        let lock = Arc::new(RwLock::new(()));
        look("write", operations, lock.clone().write_owned(), || lock.try_read().is_ok());
        let permits = Arc::new(Semaphore::new(3));
        look("acquire_many", operations, permits.clone().acquire_many_owned(3), || permits.available_permits() > 0);
        let (sender, _receiver) = mpsc::channel::<u32>(1);
        look("reserve", operations, sender.clone().reserve_owned(), || sender.capacity() > 0);
    }

    let runtime = runtime(2);
    let lock = Arc::new(Mutex::new(()));
    let (first, second) = (lock.clone(), lock);
    let begun = Instant::now();
    let selects = runtime.spawn(async move {
        let busy = async { while begun.elapsed() < Duration::from_millis(500) { ready(100).await } };
        tokio::select! { biased; () = busy => "busy", _guard = first.lock() => "lock" }
    });
    let waits = runtime.spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let free = second.try_lock().is_ok();
        let _guard = second.lock().await;
        (free, begun.elapsed().as_millis() >= 490)
    });
    let (branch, (free, late)) = runtime.block_on(async { (selects.await.unwrap(), waits.await.unwrap()) });
    println!("select {branch} free {free}, locked after 500 ms {late}");
}
RS
for version in 1.53.1 1.54.1; do
    sed "s/VERSION/$version/" Cargo.toml > held/Cargo.toml
    rm -f held/Cargo.lock
    cargo run --quiet --manifest-path held/Cargo.toml --target-dir target | sed "s/^/$version /"
done > seen
cat seen
for version in 1.53.1 1.54.1; do
    for name in lock read write acquire_many reserve; do echo "$version 100 $name returned free false"; done
    if [ $version = 1.53.1 ]; then free=true late=false; else free=false late=true; fi
    for name in lock read write acquire_many reserve; do echo "$version 128 $name pending free $free"; done
    echo "$version select busy free $free, locked after 500 ms $late"
done | diff seen - || { echo "changed: what a call without budget does to its object" >&2; exit 1; }
