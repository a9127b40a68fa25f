#!/usr/bin/env bash
# tokio 1.54.1, `Interval` with `MissedTickBehavior::Skip` or `Delay`, when a tick is late by a few milliseconds.
#
# Guess: with Skip, ticks that were missed are left out: a tick that comes late is followed by one at the next multiple of the period. With
# Delay the next one comes a whole period after it. Only Burst, the default, makes up for them.
# Reality: a tick that is late by up to 5 ms does not count as missed, however short the period, and all three behave as Burst. When six ticks
# came, in ms from the begin, of which the second was late:
#
#     period    late by    Burst                Delay                Skip
#     1 ms      3 ms       4 4 4 4 5 6          4 4 4 4 5 6          4 4 4 4 5 6
#     1 ms      20 ms      21 21 21 21 21 21    21 22 23 24 25 26    21 22 23 24 25 26
#     10 ms     4 ms       14 20 30 40 50 60    14 20 30 40 50 60    14 20 30 40 50 60
#     10 ms     14 ms      24 24 30 40 50 60    24 34 44 54 64 74    24 30 40 50 60 70
#
# Why it matters: tickers of 1 to 5 ms pace packets, batches and frames, and a worker that is late by some milliseconds is common. A
# program that chose Skip or Delay against bursts has bursts of up to five, and a test that blocks for longer shows none. With Delay
# "at least a period between two ticks" does not hold either; a measure of lateness by such distances sees negative ones.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_interval_late_ticks.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p ticks/src
cat > ticks/Cargo.toml <<'TOML'
[package]
name = "ticks"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "time", "test-util"] }
[workspace]
TOML
cat > ticks/src/main.rs <<'RS'
use std::time::Duration;
use tokio::time::MissedTickBehavior::{self, Burst, Delay, Skip};
use tokio::time::{Instant, advance, interval};

/// When six ticks came, after the second was late. The clock stands still but for `advance` and the waits of the interval.
async fn ticks(period: u64, late: u64, behavior: MissedTickBehavior) {
    let start = Instant::now();
    let mut interval = interval(Duration::from_millis(period));
    interval.set_missed_tick_behavior(behavior);
    interval.tick().await;
    advance(Duration::from_millis(period + late)).await;
    print!("period {period} late {late} {behavior:?}:");
    for _ in 0..6 {
        interval.tick().await;
        print!(" {}", start.elapsed().as_millis());
    }
    println!();
}

fn main() {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
        for (period, late) in [(1, 3), (1, 20), (10, 4), (10, 14)] {
            for behavior in [Burst, Delay, Skip] {
                ticks(period, late, behavior).await;
            }
        }
    });
}
RS
cargo run --quiet --manifest-path ticks/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: late ticks are missed at another limit" >&2; exit 1; }
period 1 late 3 Burst: 4 4 4 4 5 6
period 1 late 3 Delay: 4 4 4 4 5 6
period 1 late 3 Skip: 4 4 4 4 5 6
period 1 late 20 Burst: 21 21 21 21 21 21
period 1 late 20 Delay: 21 22 23 24 25 26
period 1 late 20 Skip: 21 22 23 24 25 26
period 10 late 4 Burst: 14 20 30 40 50 60
period 10 late 4 Delay: 14 20 30 40 50 60
period 10 late 4 Skip: 14 20 30 40 50 60
period 10 late 14 Burst: 24 24 30 40 50 60
period 10 late 14 Delay: 24 34 44 54 64 74
period 10 late 14 Skip: 24 30 40 50 60 70
TXT
