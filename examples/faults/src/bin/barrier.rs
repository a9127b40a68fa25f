//! Three workers meet after each round. One of them gives up after an error, and the others wait for it.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::time;

async fn rounds(number: u64, barrier: Arc<Barrier>) {
    for round in 0.. {
        time::sleep(Duration::from_millis(10)).await;
        if (number, round) == (2, 5) && !repaired() {
            return; // The others count on it: the fault.
        }
        barrier.wait().await;
    }
}

#[tokio::main]
async fn main() {
    let barrier = Arc::new(Barrier::new(3));
    for number in 0..3 {
        tokio::spawn(rounds(number, barrier.clone()));
    }
    std::future::pending::<()>().await;
}
