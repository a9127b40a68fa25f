//! A contended lock: its holder yields, so that the other task finds it locked and waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::report::Line;
use crate::runtimes;

const WARM_UP: u64 = 10_000;

/// Both tasks on one thread; the count covers both.
pub fn one_thread(locks: u64) -> Line {
    let runtime = runtimes::current_thread();
    Line::time(runtimes::timed(&runtime, WARM_UP, locks, contend), locks)
}

async fn contend(locks: u64) -> Duration {
    let mutex = Arc::new(Mutex::new(0));
    let start = Instant::now();
    let other = tokio::spawn(lock_often(Arc::clone(&mutex), locks / 2));
    lock_often(Arc::clone(&mutex), locks - locks / 2).await;
    other.await.expect("the second task");
    let elapsed = start.elapsed();
    assert_eq!(*mutex.lock().await, locks);
    elapsed
}

async fn lock_often(mutex: Arc<Mutex<u64>>, times: u64) {
    for _ in 0..times {
        let mut count = mutex.lock().await;
        tokio::task::yield_now().await;
        *count += 1;
    }
}
