#!/usr/bin/env bash
# parking_lot 0.12.5 on Linux 6.18 (seen): waits for a lock on a CPU that other threads use, too.
#
# Guess: a thread that finds the lock taken spins for some microseconds, and then sleeps in the kernel until the lock is released. So a wait
# of 20 ms is a futex call, as with std, and a voluntary context switch.
# Reality: between the two it gives up its CPU a few times (`sched_yield`) and looks again. Each time it is runnable, and runs when the others
# have used their slices, some milliseconds later. With four busy threads on the CPU these few looks are longer than the hold, so no wait
# sleeps. A lock is held for 20 ms, 20 times:
#
#                            alone on its CPU    beside 1 thread    beside 4 threads
#     std::sync::Mutex       20 waits slept      20                 20
#     parking_lot::Mutex     20                  17                 0
#     parking_lot::RwLock    20                  16                 0
#
# Why it matters: tools that find contention by futex calls (strace, perf trace, BPF's off-CPU and futex scripts, hooks of the futex call) see
# the locks as long as the machine is idle, and lose them under load, where they matter. A dump shows the thread running, or runnable, in
# `lock_slow`. The time is neither on the CPU nor off it: it is run delay, which looks like a lack of CPUs. To change std's locks for
# parking_lot's, or back, changes the result of such a measurement, and not the contention.
set -euo pipefail
command -v cargo > /dev/null || { echo "parking_lot_yields_not_waits.sh: needs cargo" >&2; exit 2; }
command -v taskset > /dev/null || { echo "parking_lot_yields_not_waits.sh: needs taskset" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p yields/src
cat > yields/Cargo.toml <<'TOML'
[package]
name = "yields"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
parking_lot = "=0.12.5"
[workspace]
TOML
cat > yields/src/main.rs <<'RS'
use std::thread;
use std::time::Duration;

const HOLD: Duration = Duration::from_millis(20);
const ROUNDS: u32 = 20;

/// How often this thread slept.
fn sleeps() -> i64 {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_nvcsw
}

/// How many of the waits for a lock slept.
fn slept<G>(lock: impl Fn() -> G + Sync) -> usize {
    let round = |_| {
        thread::scope(|scope| {
            let held = lock();
            let waiter = scope.spawn(|| {
                let before = sleeps();
                let guard = lock();
                let after = sleeps();
                drop(guard);
                after != before
            });
            thread::sleep(HOLD);
            drop(held);
            waiter.join().unwrap()
        })
    };
    (0..ROUNDS).map(round).filter(|slept| *slept).count()
}

fn main() {
    let busy: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    for _ in 0..busy {
        thread::spawn(|| loop { std::hint::spin_loop() });
    }
    let std = std::sync::Mutex::new(());
    let (mutex, rwlock) = (parking_lot::Mutex::new(()), parking_lot::RwLock::new(()));
    println!("{busy} std::sync::Mutex {}", slept(|| std.lock().unwrap()));
    println!("{busy} parking_lot::Mutex {}", slept(|| mutex.lock()));
    println!("{busy} parking_lot::RwLock {}", slept(|| rwlock.write()));
}
RS
cargo build --quiet --release --manifest-path yields/Cargo.toml
cpu=$(taskset -cp $$ | sed 's/.*: *//; s/[,-].*//')
: > seen
for busy in 0 1 4; do
    taskset -c "$cpu" yields/target/release/yields "$busy" >> seen
done

uname -r
echo "parking_lot 0.12.5: busy threads on the CPU, lock, how many of 20 waits of 20 ms slept"
cat seen
slept() { sed -n "s/^$1 $2 //p" seen; }
for busy in 0 1 4; do
    [ "$(slept $busy std::sync::Mutex)" -ge 18 ] || { echo "changed: std yields, too" >&2; exit 1; }
done
for lock in parking_lot::Mutex parking_lot::RwLock; do
    [ "$(slept 0 $lock)" -ge 18 ] || { echo "changed: $lock does not sleep on an idle CPU" >&2; exit 1; }
    [ "$(slept 4 $lock)" -le 5 ] || { echo "changed: $lock sleeps on a busy CPU" >&2; exit 1; }
done
