//! `buffered` fetches two prices at a time, under a lock that the consumer of the stream takes, too. While the consumer waits for
//! the lock, nothing polls the fetch to which the lock was given.

use faults::repaired;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time;

#[derive(Default)]
struct Prices {
    fetched: u64,
    sum: u64,
}

async fn fetch(prices: &Mutex<Prices>, item: u64) -> u64 {
    let mut prices = prices.lock().await;
    time::sleep(Duration::from_millis(20)).await;
    prices.fetched += 1;
    item
}

async fn add(prices: &Mutex<Prices>, price: u64) {
    prices.lock().await.sum += price;
}

async fn collect(prices: Arc<Mutex<Prices>>) {
    loop {
        let fetches = stream::iter(0..10).map(|item| fetch(&prices, item));
        let mut fetched = fetches.buffered(2);
        if repaired() {
            let fetched: Vec<u64> = fetched.collect().await;
            add(&prices, fetched.iter().sum()).await;
        } else {
            while let Some(price) = fetched.next().await {
                // The stream is not polled while this waits: the fault.
                add(&prices, price).await;
            }
        }
    }
}

#[tokio::main]
async fn main() {
    tokio::spawn(collect(Arc::default()));
    std::future::pending::<()>().await;
}
