//! Closures of the blocking pool watch jobs and sleep most of the time. There are more of them than the pool has threads.

use faults::repaired;
use std::future::pending;
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::{task, time};

const PERIOD: Duration = Duration::from_secs(60);

fn look_at_job(_job: u32) {}

fn watch_blocking(job: u32) {
    loop {
        look_at_job(job);
        thread::sleep(PERIOD);
    }
}

async fn watch(job: u32) {
    if repaired() {
        loop {
            look_at_job(job);
            time::sleep(PERIOD).await;
        }
    }
    // Sleeps on a thread of the pool: the fault.
    task::spawn_blocking(move || watch_blocking(job))
        .await
        .unwrap();
}

async fn compress(page: u32) {
    task::spawn_blocking(move || page.count_ones())
        .await
        .unwrap();
}

fn main() {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        for job in 0..4 {
            tokio::spawn(watch(job));
        }
        time::sleep(Duration::from_millis(50)).await;
        for page in 0..30 {
            tokio::spawn(compress(page));
        }
        pending::<()>().await;
    });
}
