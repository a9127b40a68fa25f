//! Roots of `block_on` that wait at channels, whose other ends their tasks have.

use std::future::Future;
use std::sync::mpsc as threads;
use tokio::sync::mpsc;

type Waits = threads::Sender<()>;

/// Starts the roots. Returns when they wait.
pub fn start() {
    let (waits, waiting) = threads::channel();
    let other = waits.clone();
    std::thread::spawn(|| block_on(root_receives(waits)));
    std::thread::spawn(|| block_on(root_sends(other)));
    for _ in 0..2 {
        waiting.recv().unwrap();
    }
}

fn block_on(root: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(root);
}

async fn root_receives(waits: Waits) {
    let (sender, mut receiver) = mpsc::channel::<u64>(1);
    tokio::spawn(keeps_sender(sender, waits));
    receiver.recv().await;
}

async fn root_sends(waits: Waits) {
    let (sender, receiver) = mpsc::channel::<u64>(1);
    tokio::spawn(keeps_receiver(receiver, waits));
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
}

/// Runs on the thread of the root, and so while the root waits.
async fn keeps_sender(sender: mpsc::Sender<u64>, waits: Waits) {
    waits.send(()).unwrap();
    std::future::pending::<()>().await;
    drop(sender);
}

async fn keeps_receiver(receiver: mpsc::Receiver<u64>, waits: Waits) {
    waits.send(()).unwrap();
    std::future::pending::<()>().await;
    drop(receiver);
}
