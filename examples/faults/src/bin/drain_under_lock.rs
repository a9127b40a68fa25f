//! `drain_under_lock [blocking] [repaired]`: a stock-take waits for its helpers while it holds the lock that they need;
//! `blocking`: for a closure of the blocking pool.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::{self, JoinSet};
use tokio::time;

#[derive(Default)]
struct Stock {
    shelves: [u64; 3],
    total: u64,
}

async fn count(stock: Arc<Mutex<Stock>>, shelf: usize) -> u64 {
    stock.lock().await.shelves[shelf]
}

async fn take_stock(stock: Arc<Mutex<Stock>>) {
    loop {
        let mut helpers = JoinSet::new();
        let mut all = stock.lock().await;
        for shelf in 0..3 {
            helpers.spawn(count(stock.clone(), shelf));
        }
        if repaired() {
            drop(all);
            let total: u64 = helpers.join_all().await.iter().sum();
            stock.lock().await.total += total;
        } else {
            // Holds the lock that the helpers need: the fault.
            while let Some(shelf) = helpers.join_next().await {
                all.total += shelf.unwrap();
            }
        }
        time::sleep(Duration::from_millis(10)).await;
    }
}

async fn save(stock: Arc<Mutex<Stock>>) {
    loop {
        let mut all = stock.lock().await;
        all.total += 1;
        let copied = stock.clone();
        let copy = move || copied.blocking_lock().shelves;
        if repaired() {
            drop(all);
            task::spawn_blocking(copy).await.ok();
        } else {
            // Holds the lock that the closure needs: the fault.
            task::spawn_blocking(copy).await.ok();
            drop(all);
        }
        time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main]
async fn main() {
    let stock = Arc::new(Mutex::new(Stock::default()));
    match std::env::args().nth(1).as_deref() {
        Some("blocking") => tokio::spawn(save(stock)),
        _ => tokio::spawn(take_stock(stock)),
    };
    std::future::pending::<()>().await;
}
