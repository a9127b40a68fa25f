#!/usr/bin/env bash
# tokio 1.54.1, `timeout(Duration::ZERO, future)` and `sleep(Duration::ZERO)`.
#
# Guess: the first polls the future once and gives up at once if it is not ready; the second is ready at once, or yields once as
# `yield_now()` does. `sleep_until(now)`, whose deadline is reached, is ready at once.
# Reality: all wait for the clock's next millisecond. A timer's deadline is rounded up to one, so the timer of a zero timeout is
# pending at its first poll. The future is polled again after it, and in between all other tasks run:
#
#     timeout(ZERO, never ready)            2 polls, 1 ms
#     timeout(ZERO, a permit that another task gives back after the call)    Ok
#     100 x sleep(ZERO)                     109 ms
#     100 x yield_now()                     0 ms
#     sleep_until(a second ago)             1 poll
#
# Why it matters: "take it if it is free" by timeout(ZERO) waits when it is not, and may get it after all; `try_acquire` and the
# like do not wait. A loop that lets others run by sleep(ZERO) makes 1000 rounds a second at most. In a dump such a task waits
# for a timer, and a count of polls has two for a call that looks like none.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_timeout_zero.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p zero/src
cat > zero/Cargo.toml <<'TOML'
[package]
name = "zero"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "sync", "time"] }
[workspace]
TOML
cat > zero/src/main.rs <<'RS'
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How often a future is polled until it is ready.
async fn polls(future: impl Future) -> u32 {
    let (mut future, mut polls) = (pin!(future), 0);
    poll_fn(|context| { polls += 1; future.as_mut().poll(context) }).await;
    polls
}

async fn look() {
    let mut count = 0;
    let never = poll_fn(|_| { count += 1; Poll::<()>::Pending });
    let elapsed = timeout(Duration::ZERO, never).await.is_err();
    println!("timeout_never {count} elapsed {elapsed}");

    let permits = std::sync::Arc::new(Semaphore::new(1));
    let permit = permits.clone().try_acquire_owned().unwrap();
    let call = timeout(Duration::ZERO, permits.acquire());
    // One thread: this runs when the call waits.
    tokio::spawn(async { drop(permit) });
    println!("timeout_permit {}", call.await.is_ok());

    println!("sleep_past {}", polls(sleep_until(Instant::now() - Duration::from_secs(1))).await);
    println!("sleep_now {}", polls(sleep_until(Instant::now())).await);
    println!("sleep_zero {}", polls(sleep(Duration::ZERO)).await);
    let begun = Instant::now();
    for _ in 0..100 { sleep(Duration::ZERO).await }
    println!("sleeps_ms {}", begun.elapsed().as_millis());
    let begun = Instant::now();
    for _ in 0..100 { yield_now().await }
    println!("yields_ms {}", begun.elapsed().as_millis());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::spawn(look()).await.unwrap() });
}
RS
cargo run --quiet --manifest-path zero/Cargo.toml --target-dir target > seen
cat seen
cat > expected <<'TXT'
timeout_never 2 elapsed true
timeout_permit true
sleep_past 1
sleep_now 2
sleep_zero 2
TXT
diff expected <(grep -v _ms seen) || { echo "changed" >&2; exit 1; }
[ "$(awk '$1 == "sleeps_ms" { print $2 }' seen)" -ge 90 ] || { echo "changed: sleep(ZERO) waits no millisecond" >&2; exit 1; }
