//! What traces cost: `contestant NAME [COUNT]` runs one workload and prints one line, `NAME key=value ..`.
//!
//! `rounds` and `flood` run under a recorder, and tell what it has at the end. `span` and `scope` tell the time of a poll
//! under a span, and of a span that is entered and exited.

#[cfg(feature = "dial9")]
#[path = "dial9.rs"]
mod recorder;
#[cfg(feature = "probe")]
#[path = "probe.rs"]
mod recorder;
#[cfg(feature = "probe")]
mod spans;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use recorder::{Recorder, Runtime, spawn, sync::mpsc, time::sleep};

/// What a recorder has recorded, as far as it tells.
pub struct Recorded {
    /// Of the file.
    pub bytes: u64,
    /// In the file.
    pub polls: Option<u64>,
    pub events: Option<u64>,
    /// By its own count.
    pub lost: Option<u64>,
}

/// Two tasks on one thread send a message back and forth: six events a round, which are two polls and two wakes.
async fn exchange(rounds: u64) {
    let (ping, mut pinged) = mpsc::channel::<u64>(1);
    let (pong, mut ponged) = mpsc::channel::<u64>(1);
    let other = spawn(async move {
        while let Some(round) = pinged.recv().await {
            pong.send(round).await.expect("the first task listens");
        }
    });
    for round in 0..rounds {
        ping.send(round).await.expect("the second task listens");
        ponged.recv().await;
    }
    drop(ping);
    other.await.expect("the second task");
}

/// A task that wakes itself in each of so many polls.
struct Polls {
    left: u64,
}

impl Future for Polls {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

const WORKERS: u64 = 2;

/// Polls each worker for three seconds, at so many polls a second in all. Returns the polls.
async fn flood(polls_per_second: u64) -> u64 {
    const LENGTH: Duration = Duration::from_secs(3);
    let tasks: Vec<_> = (0..WORKERS)
        .map(|_| {
            spawn(async move {
                let rate = polls_per_second as f64 / WORKERS as f64;
                let began = Instant::now();
                let mut done = 0;
                while began.elapsed() < LENGTH {
                    let due = (began.elapsed().as_secs_f64() * rate) as u64;
                    let left = due.saturating_sub(done);
                    Polls { left }.await;
                    done += left;
                    sleep(Duration::from_millis(1)).await;
                }
                done
            })
        })
        .collect();
    let mut polls = 0;
    for task in tasks {
        polls += task.await.expect("a task of the flood");
    }
    polls
}

fn recorded(name: &str, ops: u64) -> String {
    let recorder = Recorder::start();
    let runtime: Runtime = recorder.runtime(name != "rounds");
    let began = Instant::now();
    let polls = match name {
        "rounds" => {
            // The root of a `block_on` is no task for dial9.
            runtime.block_on(async { spawn(exchange(ops)).await.expect("the rounds") });
            2 * ops
        }
        _ => runtime.block_on(flood(ops)),
    };
    let seconds = began.elapsed().as_secs_f64();
    drop(runtime);
    let recorded = recorder.finish();
    let told = |key: &str, value: Option<u64>| {
        value.map_or_else(String::new, |value| format!(" {key}={value}"))
    };
    format!(
        "ops={ops} polls={polls} seconds={seconds:.3} bytes={}{}{}{}",
        recorded.bytes,
        told("recorded", recorded.polls),
        told("events", recorded.events),
        told("lost", recorded.lost),
    )
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let ops = arguments.next().and_then(|text| text.parse().ok());
    let ops = ops.unwrap_or(100_000);
    let line = match name.as_str() {
        "rounds" | "flood" => recorded(&name, ops),
        #[cfg(feature = "probe")]
        "span" | "scope" => spans::run(&name, ops),
        _ => {
            eprintln!("usage: contestant rounds|flood|span|scope [COUNT]");
            return ExitCode::FAILURE;
        }
    };
    println!("{name} {line}");
    ExitCode::SUCCESS
}
