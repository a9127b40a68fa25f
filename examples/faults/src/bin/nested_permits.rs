//! Each request takes a connection of a pool, and then a second one for its audit. When as many requests as connections have
//! their first one, no request gets a second one.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time;

struct Pool {
    connections: Semaphore,
}

impl Pool {
    async fn audit(&self) {
        let _second = self.connections.acquire().await.unwrap();
        time::sleep(Duration::from_millis(10)).await;
    }

    async fn serve(&self) {
        let first = self.connections.acquire().await.unwrap();
        time::sleep(Duration::from_millis(50)).await;
        if repaired() {
            drop(first);
        }
        // Holds the first connection while it waits for the second one: the fault.
        self.audit().await;
    }
}

async fn request(pool: Arc<Pool>) {
    loop {
        pool.serve().await;
    }
}

#[tokio::main]
async fn main() {
    let pool = Arc::new(Pool {
        connections: Semaphore::new(4),
    });
    for _ in 0..8 {
        tokio::spawn(request(pool.clone()));
    }
    std::future::pending::<()>().await;
}
