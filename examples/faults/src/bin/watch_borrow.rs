//! A value of a `watch` is borrowed while the next one is sent: the lock in the channel then blocks its own thread.

use faults::repaired;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time;

async fn count(counter: watch::Sender<u64>) {
    let counted = counter.subscribe();
    loop {
        time::sleep(Duration::from_millis(10)).await;
        if repaired() {
            let last = *counted.borrow();
            send(&counter, last + 1);
        } else {
            // Borrowed until the end of the statement: the fault.
            send(&counter, *counted.borrow() + 1);
        }
    }
}

fn send(counter: &watch::Sender<u64>, next: u64) {
    counter.send(next).unwrap();
}

async fn beat() {
    loop {
        time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    tokio::spawn(count(watch::Sender::new(0)));
    tokio::spawn(beat());
    std::future::pending::<()>().await;
}
