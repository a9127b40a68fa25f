//! Three workers wait for each other after each round. One of them ends after an error, and the others wait for it for ever.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::time;

async fn rounds(number: u64, barrier: Arc<Barrier>) {
    for round in 0.. {
        time::sleep(Duration::from_millis(10)).await;
        if (number, round) == (2, 5) && !repaired() {
            return; // The barrier still counts this worker: the fault.
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
