//! The root of `block_on` may hold a guard of std over an await, as only its own thread runs it. Both workers wait for that lock,
//! and the root waits for a task that needs a worker.

#![expect(clippy::await_holding_lock, reason = "it is the fault")]

use faults::repaired;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time;

type Members = Arc<Mutex<Vec<u64>>>;

async fn join_members(members: Members, number: u64) {
    loop {
        time::sleep(Duration::from_millis(15)).await;
        members.lock().unwrap().push(number);
    }
}

async fn greet(greeted: oneshot::Sender<u64>) {
    time::sleep(Duration::from_millis(150)).await;
    greeted.send(7).ok();
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let members = Members::default();
    for number in 0..3 {
        tokio::spawn(join_members(members.clone(), number));
    }
    time::sleep(Duration::from_millis(200)).await;
    let (greeted, greeting) = oneshot::channel();
    if repaired() {
        tokio::spawn(greet(greeted));
        let greeting = greeting.await.unwrap();
        members.lock().unwrap().push(greeting);
    } else {
        let mut held = members.lock().unwrap();
        tokio::spawn(greet(greeted));
        // The guard is held over this await: the fault.
        held.push(greeting.await.unwrap());
    }
    pending::<()>().await;
}
