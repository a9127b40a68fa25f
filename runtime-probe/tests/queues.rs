//! A task that waits behind another waiter goes on if that one gives up: it is in no deadlock with the holder of the lock.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::future::Future;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard};
use std::time::Duration;

use runtime_probe::runtime::Runtime;
#[cfg(feature = "semaphore")]
use runtime_probe::sync::Semaphore;
use runtime_probe::sync::{Mutex, RwLock, oneshot};
use runtime_probe::task::JoinHandle;
use runtime_probe::time;
use support::dump::{dump, until};

mod support {
    pub mod dump;
}

/// A dump has the deadlocks of all tests, so only one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: StdMutex<()> = StdMutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Whether the first waiter gives up after a long time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    GivesUp,
    Stays,
}

async fn first<F: Future>(first: First, wait: F) {
    match first {
        First::GivesUp => drop(time::timeout(Duration::from_secs(600), wait).await),
        First::Stays => drop(wait.await),
    }
}

/// Waits until so many tasks wait for such a lock.
fn waiting(count: usize, lock: &str) {
    until(|text| text.matches(&format!(", waits for a {lock}")).count() == count);
}

/// The deadlocks, if there are any, and the end of these tasks.
fn end(runtime: &Runtime, tasks: impl IntoIterator<Item = JoinHandle<()>>) -> Vec<String> {
    let deadlocks = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("# deadlock: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let found = (0..5).map(|_| deadlocks(&dump())).max_by_key(Vec::len);
    for task in tasks {
        task.abort();
        runtime.block_on(task).ok();
    }
    found.unwrap_or_default()
}

#[test]
fn a_reader_behind_a_writer() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    for kind in [First::GivesUp, First::Stays] {
        let shared = Arc::new(RwLock::new(0u8));
        let own = Arc::new(Mutex::new(0u16));
        let (let_read, may_read) = oneshot::channel::<()>();
        let (let_lock, may_lock) = oneshot::channel::<()>();
        let (s, o) = (shared.clone(), own.clone());
        let (reads, has_read) = oneshot::channel();
        let reader = runtime.spawn(async move {
            let _read = s.read().await;
            reads.send(()).unwrap();
            may_lock.await.unwrap();
            drop(o.lock().await);
        });
        runtime.block_on(has_read).unwrap();
        let (s, o) = (shared.clone(), own.clone());
        let (locks, has_locked) = oneshot::channel();
        let behind = runtime.spawn(async move {
            let _own = o.lock().await;
            locks.send(()).unwrap();
            may_read.await.unwrap();
            drop(s.read().await);
        });
        runtime.block_on(has_locked).unwrap();
        let s = shared.clone();
        let writer = runtime.spawn(async move { first(kind, s.write()).await });
        waiting(1, "RwLock<u8>");
        let_read.send(()).unwrap();
        waiting(2, "RwLock<u8>");
        let_lock.send(()).unwrap();
        waiting(1, "Mutex<u16>");
        let found = end(&runtime, [reader, behind, writer]);
        assert_eq!(found.is_empty(), kind == First::GivesUp, "{found:?}");
    }
}

#[test]
fn a_second_read_of_one_task() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    for kind in [First::GivesUp, First::Stays] {
        let shared = Arc::new(RwLock::new(0u32));
        let (go, may_go) = oneshot::channel::<()>();
        let (reads, has_read) = oneshot::channel();
        let s = shared.clone();
        let reader = runtime.spawn(async move {
            let _read = s.read().await;
            reads.send(()).unwrap();
            may_go.await.unwrap();
            drop(s.read().await);
        });
        runtime.block_on(has_read).unwrap();
        let writer = runtime.spawn(async move { first(kind, shared.write()).await });
        waiting(1, "RwLock<u32>");
        go.send(()).unwrap();
        waiting(2, "RwLock<u32>");
        let found = end(&runtime, [reader, writer]);
        assert_eq!(found.is_empty(), kind == First::GivesUp, "{found:?}");
        let again = "that it reads itself and wants to read once more, behind goroutine ";
        assert!(found.iter().all(|found| found.contains(again)), "{found:?}");
    }
}

/// tokio gives the first waiter all free permits, and takes them back if it gives up.
#[test]
#[cfg(feature = "semaphore")]
fn a_permit_behind_a_call_for_many() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    for kind in [First::GivesUp, First::Stays] {
        let permits = Arc::new(Semaphore::new(2));
        let own = Arc::new(Mutex::new(0u64));
        let (let_acquire, may_acquire) = oneshot::channel::<()>();
        let (let_lock, may_lock) = oneshot::channel::<()>();
        let (p, o) = (permits.clone(), own.clone());
        let (acquires, has_acquired) = oneshot::channel();
        let holder = runtime.spawn(async move {
            let _permit = p.acquire().await.unwrap();
            acquires.send(()).unwrap();
            may_lock.await.unwrap();
            drop(o.lock().await);
        });
        runtime.block_on(has_acquired).unwrap();
        let (p, o) = (permits.clone(), own.clone());
        let (locks, has_locked) = oneshot::channel();
        let behind = runtime.spawn(async move {
            let _own = o.lock().await;
            locks.send(()).unwrap();
            may_acquire.await.unwrap();
            drop(p.acquire().await);
        });
        runtime.block_on(has_locked).unwrap();
        let p = permits.clone();
        let many = runtime.spawn(async move { first(kind, p.acquire_many(2)).await });
        waiting(1, "Semaphore");
        let_acquire.send(()).unwrap();
        waiting(2, "Semaphore");
        let_lock.send(()).unwrap();
        waiting(1, "Mutex<u64>");
        let found = end(&runtime, [holder, behind, many]);
        assert_eq!(found.is_empty(), kind == First::GivesUp, "{found:?}");
    }
}
