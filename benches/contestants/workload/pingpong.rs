//! Two tasks that send a message back and forth over a pair of channels: the waits, wakes and polls of real leaves.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::report::Line;
use crate::runtimes;

const WARM_UP: u64 = 10_000;

/// Both tasks on one thread.
pub fn one_thread(rounds: u64) -> Line {
    let runtime = runtimes::current_thread();
    Line::time(runtimes::timed(&runtime, WARM_UP, rounds, exchange), rounds)
}

/// Both tasks on a runtime of two workers.
pub fn two_workers(rounds: u64) -> Line {
    let runtime = runtimes::multi_thread();
    Line::time(runtimes::timed(&runtime, WARM_UP, rounds, exchange), rounds)
}

async fn exchange(rounds: u64) -> Duration {
    let (ping, mut pinged) = mpsc::channel::<u64>(1);
    let (pong, mut ponged) = mpsc::channel::<u64>(1);
    let start = Instant::now();
    let other = tokio::spawn(async move {
        while let Some(round) = pinged.recv().await {
            pong.send(round).await.expect("the first task listens");
        }
    });
    for round in 0..rounds {
        ping.send(round).await.expect("the second task listens");
        assert_eq!(ponged.recv().await, Some(round));
    }
    drop(ping);
    other.await.expect("the second task");
    start.elapsed()
}
