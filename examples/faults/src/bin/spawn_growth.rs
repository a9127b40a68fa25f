//! A task for each message waits until the message is acknowledged. Not all messages are.

use faults::repaired;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time;

async fn acknowledged(number: u64, mut acks: broadcast::Receiver<u64>) {
    let all = async { while acks.recv().await.is_ok_and(|ack| ack != number) {} };
    match repaired() {
        true => drop(time::timeout(Duration::from_millis(200), all).await),
        false => all.await, // Waits for ever: the fault.
    }
}

#[tokio::main]
async fn main() {
    let (acks, _) = broadcast::channel(16);
    for number in 0.. {
        tokio::spawn(acknowledged(number, acks.subscribe()));
        time::sleep(Duration::from_millis(2)).await;
    }
}
