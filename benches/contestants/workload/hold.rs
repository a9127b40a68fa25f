//! A process for dumps to read: many tasks that wait, and a ticker that notices when the runtime stands still.
//!
//! It prints `ready` once every task waits. Then it answers each line on stdin with `stall_ns=N`, the greatest delay
//! of the ticker since the line before; the end of stdin ends the process. The probe serves the dumps at the address
//! of `RUNTIME_PROBE_LISTEN`.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::runtimes;

mod chain;

use chain::Wait;

/// Longer than any run: the tasks that sleep do not wake.
const SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Tasks between two pauses of the spawner, in which the spawned tasks reach their waits.
const BURST: u64 = 1_000;

/// Holds `tasks` waiting tasks until stdin ends.
pub fn run(tasks: u64) {
    let runtime = runtimes::multi_thread();
    let ticker = Arc::new(Ticker::default());
    let held = runtime.block_on(hold(tasks, Arc::clone(&ticker)));
    println!("ready");
    for _ in std::io::stdin().lock().lines() {
        println!("stall_ns={}", ticker.take_longest_stall().as_nanos());
    }
    // Skips the drop of so many tasks, which takes long.
    std::mem::forget(held);
    runtime.shutdown_background();
}

/// The other ends of the waits: while they live, no task wakes.
#[derive(Default)]
struct Held {
    channels: Vec<mpsc::Sender<()>>,
    oneshots: Vec<oneshot::Sender<()>>,
}

async fn hold(tasks: u64, ticker: Arc<Ticker>) -> Held {
    let mut held = Held::default();
    let waiting = Arc::new(AtomicU64::new(0));
    for number in 0..tasks {
        let wait = match number % 3 {
            0 => {
                let (sender, receiver) = mpsc::channel(1);
                held.channels.push(sender);
                Wait::Channel(receiver)
            }
            1 => {
                let (sender, receiver) = oneshot::channel();
                held.oneshots.push(sender);
                Wait::Oneshot(receiver)
            }
            _ => Wait::Sleep(SLEEP),
        };
        tokio::spawn(chain::serve_connection(wait, Arc::clone(&waiting)));
        if number % BURST == 0 {
            tokio::task::yield_now().await;
        }
    }
    while waiting.load(Relaxed) < tasks {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::spawn(async move { ticker.tick().await });
    held
}

/// Sleeps a millisecond at a time and keeps its greatest delay.
#[derive(Default)]
struct Ticker {
    ticks: AtomicU64,
    longest_stall_ns: AtomicU64,
}

impl Ticker {
    const PERIOD: Duration = Duration::from_millis(1);

    async fn tick(&self) {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(Self::PERIOD).await;
            let now = Instant::now();
            let late = (now - last).saturating_sub(Self::PERIOD);
            self.longest_stall_ns
                .fetch_max(late.as_nanos() as u64, Relaxed);
            self.ticks.fetch_add(1, Relaxed);
            last = now;
        }
    }

    /// The longest stall since the last call. Waits for two more ticks first: a stall shows only when it is over.
    fn take_longest_stall(&self) -> Duration {
        let seen = self.ticks.load(Relaxed);
        while self.ticks.load(Relaxed) < seen + 2 {
            thread::sleep(Duration::from_micros(200));
        }
        Duration::from_nanos(self.longest_stall_ns.swap(0, Relaxed))
    }
}
