//! Two actors send to each other through small channels. Both channels are full, and each actor waits for room in the other's
//! channel before it receives from its own.

use faults::repaired;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time;

async fn orders(mut inbox: Receiver<u32>, stock: Sender<u32>) {
    while let Some(order) = inbox.recv().await {
        for part in 0..3 {
            give(&stock, order + part).await;
        }
    }
}

async fn stock(mut inbox: Receiver<u32>, orders: Sender<u32>) {
    while let Some(part) = inbox.recv().await {
        give(&orders, part).await;
    }
}

async fn give(to: &Sender<u32>, message: u32) {
    match repaired() {
        true => drop(to.try_send(message)),
        false => to.send(message).await.unwrap(), // Waits while its own inbox fills: the fault.
    }
    // The work on a message.
    time::sleep(Duration::from_millis(1)).await;
}

#[tokio::main]
async fn main() {
    let (to_orders, inbox_of_orders) = mpsc::channel(4);
    let (to_stock, inbox_of_stock) = mpsc::channel(4);
    to_orders.send(1).await.unwrap();
    tokio::spawn(orders(inbox_of_orders, to_stock));
    tokio::spawn(stock(inbox_of_stock, to_orders));
    std::future::pending::<()>().await;
}
