//! Locks without waiters: the cost of the mutex profile without any contention.

use std::hint::black_box;
#[cfg(not(feature = "blocking"))]
use std::sync::Mutex as BlockingMutex;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
#[cfg(feature = "blocking")]
use tokio::sync::blocking::Mutex as BlockingMutex;

use crate::report::Line;
use crate::runtimes;

const WARM_UP: u64 = 10_000;

/// `lock().await`, and the release.
pub fn of_tasks(locks: u64) -> Line {
    let runtime = runtimes::current_thread();
    let elapsed = runtimes::timed(&runtime, WARM_UP, locks, async |count| {
        let mutex = Mutex::new(0);
        let start = Instant::now();
        for _ in 0..count {
            *black_box(&mutex).lock().await += 1;
        }
        start.elapsed()
    });
    Line::time(elapsed, locks)
}

/// std's `lock()`, or its counterpart, and the release.
pub fn of_threads(locks: u64) -> Line {
    lock_often(WARM_UP);
    Line::time(lock_often(locks), locks)
}

fn lock_often(locks: u64) -> Duration {
    let mutex = BlockingMutex::new(0);
    let start = Instant::now();
    for _ in 0..locks {
        *black_box(&mutex).lock().expect("no holder panics") += 1;
    }
    start.elapsed()
}
