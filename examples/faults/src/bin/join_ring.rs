//! A session waits for the end of its reader, and the reader for the end of its session.

use faults::repaired;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time;

async fn read(session: oneshot::Receiver<JoinHandle<()>>) {
    let session = session.await.unwrap();
    match repaired() {
        true => session.abort(),
        false => drop(session.await), // The session never ends: the fault.
    }
}

async fn session(start: oneshot::Receiver<JoinHandle<()>>) {
    let (sender, receiver) = oneshot::channel();
    let reader = tokio::spawn(read(receiver));
    sender.send(start.await.unwrap()).ok();
    reader.await.ok();
}

#[tokio::main]
async fn main() {
    for _ in 0..3 {
        let (start, started) = oneshot::channel();
        start.send(tokio::spawn(session(started))).ok();
        time::sleep(Duration::from_millis(20)).await;
    }
    std::future::pending::<()>().await;
}
