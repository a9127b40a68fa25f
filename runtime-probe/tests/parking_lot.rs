//! Threads that wait in parking_lot's own locks are in `block?ongoing=1`, without a rate and without the feature `interpose`.
#![cfg(all(target_os = "linux", feature = "full"))]

use parking_lot::{Condvar, Mutex, RwLock};
use runtime_probe::pprof;
use std::time::{Duration, Instant};
use support::client::PATIENCE;
use support::contention::{profile, runtime, samples};

mod support {
    #[allow(dead_code, reason = "nothing is sent byte for byte here")]
    pub mod client;
    #[allow(dead_code, reason = "no totals here")]
    pub mod contention;
}

static MUTEX: Mutex<()> = Mutex::new(());
static LOCK: RwLock<()> = RwLock::new(());
static READ: RwLock<()> = RwLock::new(());
static CONDITION: Condvar = Condvar::new();
static OWN: Mutex<()> = Mutex::new(());

#[inline(never)]
fn wants_the_mutex() {
    drop(MUTEX.lock());
}

#[inline(never)]
fn wants_to_read() {
    drop(LOCK.read());
}

#[inline(never)]
fn wants_to_write() {
    drop(READ.write());
}

#[inline(never)]
fn wants_a_notice() {
    CONDITION.wait(&mut OWN.lock());
}

#[test]
fn threads_in_each_lock_are_among_the_waits_that_go_on() {
    assert_eq!(pprof::block_profile_rate(), 0);
    let runtime = runtime();
    let held = (MUTEX.lock(), LOCK.write(), READ.read());
    // One of the two workers; the other threads block no worker.
    runtime.spawn(async { wants_the_mutex() });
    runtime.spawn_blocking(wants_to_read);
    let threads = [wants_to_write, wants_a_notice].map(std::thread::spawn);
    let deadline = Instant::now() + PATIENCE;
    for (function, reason) in [
        ("::wants_the_mutex", "sync.Mutex.Lock, blocks a worker"),
        ("::wants_to_read", "sync.RWMutex.RLock"),
        ("::wants_to_write", "sync.RWMutex.Lock"),
        ("::wants_a_notice", "sync.Cond.Wait"),
    ] {
        loop {
            let found = samples(&profile("block?ongoing=1"), function);
            if let Some((count, _)) = found.get(reason) {
                assert_eq!((*count, found.len()), (1, 1), "{function}: {found:?}");
                break;
            }
            assert!(Instant::now() < deadline, "{function}: {found:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let (_, delay) = samples(&profile("block?ongoing=1"), "::wants_to_read")["sync.RWMutex.RLock"];
    assert!(!delay.is_zero());
    drop(held);
    while threads.iter().any(|thread| !thread.is_finished()) {
        CONDITION.notify_all();
        std::thread::yield_now();
    }
    assert!(samples(&profile("block?ongoing=1"), "::wants_to_write").is_empty());
}
