//! Calls over one connection wait for their answers by number. The peer does not answer some of them, and the senders of these
//! stay in the table for ever.

use faults::repaired;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time;

type Table = Arc<Mutex<HashMap<u64, oneshot::Sender<u64>>>>;

async fn call(table: Table, number: u64) {
    let (sender, answer) = oneshot::channel();
    table.lock().unwrap().insert(number, sender);
    if repaired() {
        let answer = time::timeout(Duration::from_millis(100), answer).await;
        if answer.is_err() {
            table.lock().unwrap().remove(&number);
        }
    } else {
        answer.await.ok(); // Without an answer this never ends: the fault.
    }
}

async fn peer(table: Table) {
    loop {
        time::sleep(Duration::from_millis(1)).await;
        let mut table = table.lock().unwrap();
        let known: Vec<u64> = table.keys().copied().collect();
        for number in known.into_iter().filter(|number| number % 3 != 0) {
            if let Some(call) = table.remove(&number) {
                call.send(7).ok();
            }
        }
    }
}

#[tokio::main]
async fn main() {
    let table = Table::default();
    tokio::spawn(peer(table.clone()));
    for number in 0.. {
        tokio::spawn(call(table.clone(), number));
        time::sleep(Duration::from_millis(1)).await;
    }
}
