//! A closed channel in a `select!` loop is always ready: one CPU is busy, and the service still works.

use faults::repaired;
use std::time::Duration;
use tokio::{sync::mpsc, time};

async fn serve_orders(mut orders: mpsc::Receiver<u32>, mut returns: mpsc::Receiver<u32>) {
    let mut is_open = true;
    loop {
        tokio::select! {
            order = orders.recv(), if is_open => match order {
                Some(order) => println!("order {order}"),
                // After the senders are gone every further call returns `None` at once: the fault.
                None => is_open = !repaired(),
            },
            item = returns.recv() => match item {
                Some(item) => println!("return {item}"),
                None => break,
            },
        }
    }
}

async fn beat() {
    let mut beats = time::interval(Duration::from_millis(50));
    loop {
        beats.tick().await;
    }
}

#[tokio::main]
async fn main() {
    let (shop, orders) = mpsc::channel(8);
    let (_returns, returns) = mpsc::channel(8);
    tokio::spawn(serve_orders(orders, returns));
    tokio::spawn(beat());
    time::sleep(Duration::from_millis(300)).await;
    drop(shop);
    std::future::pending::<()>().await;
}
