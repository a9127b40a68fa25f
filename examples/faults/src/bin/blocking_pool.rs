//! More closures than the blocking pool has threads, and each waits for another closure. File operations and name look-ups need
//! threads of the same pool, and wait, too.

use faults::repaired;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::{fs, net, task, time};

/// The pool's default.
const THREADS: usize = 512;
const THUMBNAILS: u64 = THREADS as u64 + 40;

/// Every thread of the pool is in `render` at the same time, as under load.
static BUSY: Barrier = Barrier::new(THREADS);
static BEGUN: AtomicUsize = AtomicUsize::new(0);

/// Blocks a thread of the pool on work for the pool: the fault.
fn render(number: u64) -> u64 {
    if BEGUN.fetch_add(1, Ordering::Relaxed) < THREADS {
        BUSY.wait();
    }
    match repaired() {
        true => decode(number),
        false => Handle::current().block_on(measure(number)),
    }
}

async fn measure(number: u64) -> u64 {
    task::spawn_blocking(move || decode(number)).await.unwrap()
}

fn decode(number: u64) -> u64 {
    number.count_ones().into()
}

async fn thumbnail(number: u64) {
    task::spawn_blocking(move || render(number)).await.unwrap();
}

async fn read_settings() {
    loop {
        fs::read("/etc/hostname").await.ok();
        time::sleep(Duration::from_millis(50)).await;
    }
}

async fn find_peer() {
    loop {
        net::lookup_host("localhost:80").await.ok();
        time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    tokio::spawn(read_settings());
    tokio::spawn(find_peer());
    time::sleep(Duration::from_millis(300)).await;
    for number in 0..THUMBNAILS {
        tokio::spawn(thumbnail(number));
    }
    std::future::pending::<()>().await;
}
