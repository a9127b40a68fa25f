//! A cache is refreshed with a time limit. The future in the queue of the lock is kept by reference. After the time limit the
//! other branch asks for the same lock. The lock is given to the first future, which nothing polls any more.

use faults::repaired;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time;

#[derive(Default)]
struct Prices {
    updates: u32,
    is_stale: bool,
}

async fn back_up(prices: Arc<Mutex<Prices>>) {
    let _prices = prices.lock().await;
    time::sleep(Duration::from_millis(600)).await;
}

async fn update(prices: &Mutex<Prices>) {
    prices.lock().await.updates += 1;
}

async fn mark_stale(prices: &Mutex<Prices>) {
    prices.lock().await.is_stale = true;
}

async fn refresh(prices: Arc<Mutex<Prices>>) {
    let too_late = time::sleep(Duration::from_millis(200));
    if repaired() {
        // Drops the future of the other branch before this one goes on.
        tokio::select! {
            () = update(&prices) => {}
            () = too_late => mark_stale(&prices).await,
        }
    } else {
        let mut update = pin!(update(&prices));
        tokio::select! {
            () = &mut update => {}
            () = too_late => mark_stale(&prices).await,
        }
    }
}

async fn quote(prices: Arc<Mutex<Prices>>) -> bool {
    prices.lock().await.is_stale
}

#[tokio::main]
async fn main() {
    let prices = Arc::new(Mutex::new(Prices::default()));
    tokio::spawn(back_up(prices.clone()));
    time::sleep(Duration::from_millis(100)).await;
    tokio::spawn(refresh(prices.clone()));
    time::sleep(Duration::from_millis(100)).await;
    for _ in 0..20 {
        tokio::spawn(quote(prices.clone()));
    }
    std::future::pending::<()>().await;
}
