//! A lock that blocks its thread is held over an await, and a lock of tokio is taken in the other order. The root waits as a
//! task, and the task blocks its thread.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, blocking};
use tokio::time;

#[derive(Default)]
struct Store {
    stock: blocking::Mutex<Stock>,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Stock(u32);

#[derive(Default)]
struct Orders(u32);

async fn order(store: Arc<Store>) {
    loop {
        let mut orders = store.orders.lock().await;
        time::sleep(Duration::from_millis(20)).await;
        store.stock.lock().unwrap().0 += 1;
        orders.0 += 1;
        drop(orders);
        time::sleep(Duration::from_millis(10)).await;
    }
}

async fn deliver(store: &Store) {
    loop {
        if repaired() {
            store.orders.lock().await.0 += 1;
            store.stock.lock().unwrap().0 += 1;
        } else {
            let mut stock = store.stock.lock().unwrap();
            // The guard is held over this await: the fault.
            store.orders.lock().await.0 += 1;
            stock.0 += 1;
        }
        time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let store = Arc::<Store>::default();
    tokio::spawn(order(store.clone()));
    deliver(&store).await;
}
