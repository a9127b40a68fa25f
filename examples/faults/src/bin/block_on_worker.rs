//! A task calls a library without async, which calls async code with an executor of its own. The async code needs the worker that
//! this executor blocks.

use faults::repaired;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::{task, time};

type Query = oneshot::Sender<u64>;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Like the executors of small crates.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

async fn store(mut queries: mpsc::Receiver<Query>) {
    while let Some(answer) = queries.recv().await {
        time::sleep(Duration::from_millis(5)).await;
        answer.send(7).ok();
    }
}

async fn count(store: mpsc::Sender<Query>) -> u64 {
    let (query, answer) = oneshot::channel();
    store.send(query).await.unwrap();
    answer.await.unwrap()
}

async fn report(store: mpsc::Sender<Query>) {
    loop {
        time::sleep(Duration::from_millis(20)).await;
        let store = store.clone();
        let counted = match repaired() {
            true => task::spawn_blocking(|| block_on(count(store)))
                .await
                .unwrap(),
            // Blocks the worker: the fault.
            false => block_on(count(store)),
        };
        println!("{counted}");
    }
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let (sender, queries) = mpsc::channel(8);
    tokio::spawn(store(queries));
    tokio::spawn(report(sender));
    std::future::pending::<()>().await;
}
