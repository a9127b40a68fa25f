#!/usr/bin/env bash
# tokio 1.54.1, whether wakes by timers and sockets are a worker's busy time.
#
# Guess: a worker parks while it has nothing to do. Between the hooks `on_thread_park` and `on_thread_unpark` it sleeps in the kernel,
# and `worker_total_busy_duration` "increases whenever the worker is spending time processing work".
# Reality: a parked worker runs the driver. It takes events and expired timers, and calls each waker, before it unparks. One worker; a
# timer whose waker computes for 500 ms, CPU time of the thread and busy time of the worker:
#
#     hooks and wake in their order             CPU time    busy time
#     park, wake begins, wake ends, unpark      500 ms      0 ms
#
# Not only wakers of one's own do work there: to fire the timers of 300,000 tasks took 40 ms of CPU time between the hooks.
#
# Why it matters: a thread that is stuck or busy in a wake is parked and idle by all that tokio tells: hooks, busy time, parks. No
# task is inside a poll, so a watchdog of polls does not see it either, and the timers and sockets of the runtime wait for it. Idle
# time that is measured by the two hooks has it as sleep. A CPU profile has the time, under the driver; a thread's stack says
# what it does.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_wakes_while_parked.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p parked/src
cat > parked/Cargo.toml <<'TOML'
[package]
name = "parked"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > parked/src/main.rs <<'RS'
use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

static LOG: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
/// The most CPU time that a park took.
static PARKED_CPU_MS: AtomicU64 = AtomicU64::new(0);
static IN_WAKE_MS: AtomicU64 = AtomicU64::new(0);
static BODIES: AtomicU64 = AtomicU64::new(0);

thread_local!(static PARKED_AT: Cell<Duration> = const { Cell::new(Duration::ZERO) });

fn log(event: &'static str) {
    LOG.lock().unwrap().push(event);
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `time` only.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct Computes;

impl Wake for Computes {
    fn wake(self: Arc<Self>) {
        log("wake_begins");
        let begun = cpu();
        while cpu() - begun < Duration::from_millis(500) {}
        log("wake_ends");
        IN_WAKE_MS.store((cpu() - begun).as_millis() as u64, Ordering::SeqCst);
    }
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .on_thread_park(|| {
            log("park");
            PARKED_AT.set(cpu());
        })
        .on_thread_unpark(|| {
            log("unpark");
            PARKED_CPU_MS.fetch_max((cpu() - PARKED_AT.get()).as_millis() as u64, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let mut timer = Box::pin(sleep(Duration::from_millis(300)));
    let waker = Waker::from(Arc::new(Computes));
    assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    while IN_WAKE_MS.load(Ordering::SeqCst) == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    // Until the worker has handed over its figures.
    runtime.block_on(async { runtime.spawn(sleep(Duration::from_millis(50))).await.unwrap() });
    let events = LOG.lock().unwrap().clone();
    let begins = events.iter().position(|&event| event == "wake_begins").unwrap();
    println!("{}", events[begins - 1..begins + 3].join(" "));
    let busy = runtime.metrics().worker_total_busy_duration(0);
    println!("cpu_in_wake_ms {} busy_ms {}", IN_WAKE_MS.load(Ordering::SeqCst), busy.as_millis());

    // The driver's own work.
    PARKED_CPU_MS.store(0, Ordering::SeqCst);
    let due = Instant::now() + Duration::from_secs(4);
    for _ in 0..300_000 {
        runtime.spawn(async move {
            sleep_until(due).await;
            BODIES.fetch_add(1, Ordering::SeqCst);
        });
    }
    while BODIES.load(Ordering::SeqCst) < 300_000 {
        thread::sleep(Duration::from_millis(10));
    }
    println!("parked_cpu_of_300000_timers_ms {}", PARKED_CPU_MS.load(Ordering::SeqCst));
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --release --quiet --manifest-path parked/Cargo.toml --target-dir target | tee seen
grep -q '^park wake_begins wake_ends unpark$' seen || { echo "changed: the wake is not between the hooks" >&2; exit 1; }
awk '$1 == "cpu_in_wake_ms" && ($2 < 500 || $4 > 250) { exit 1 }' seen || { echo "changed: the wake is busy time" >&2; exit 1; }
