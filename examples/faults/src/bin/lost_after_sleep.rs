//! A hand-written future returns `Pending` and keeps no waker. Its task awaits it after a sleep, a message, a stream or a set of
//! tasks, each of which registered the task in its last poll, too.

use faults::repaired;
use futures_util::StreamExt;
use futures_util::stream;
use std::future::{pending, poll_fn};
use std::sync::Mutex;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

/// Wakers of the tasks that wait for a payment.
static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

async fn payment_arrives() {
    poll_fn(|context| {
        // `Pending`, and no waker is kept: the fault.
        if repaired() {
            WAKERS.lock().unwrap().push(context.waker().clone());
        }
        Poll::<()>::Pending
    })
    .await;
}

async fn ship_after_sleep() {
    time::sleep(Duration::from_millis(20)).await; // Over.
    payment_arrives().await;
}

async fn ship_after_message(mut orders: mpsc::Receiver<u32>) {
    orders.recv().await;
    payment_arrives().await;
}

async fn ship_after_batch() {
    let parts = stream::iter(0..3).map(|part| async move { part });
    let mut parts = parts.buffer_unordered(2);
    while parts.next().await.is_some() {}
    drop(parts);
    payment_arrives().await;
}

/// The interval keeps a waker, although it is not polled any more.
async fn ship_with_clock() {
    let mut clock = time::interval(Duration::from_millis(20));
    clock.tick().await;
    clock.tick().await; // The second.
    payment_arrives().await;
}

/// The set keeps a waker of the task that took a result, although it cannot wake that task any more.
async fn ship_after_join() {
    let mut packers = JoinSet::new();
    packers.spawn(time::sleep(Duration::from_millis(20)));
    packers.join_next().await;
    payment_arrives().await;
    drop(packers);
}

/// One of the two futures has ended, and its timer with it.
async fn ship_both(mut orders: mpsc::Receiver<u32>) {
    let pause = time::sleep(Duration::from_millis(20));
    tokio::join!(pause, orders.recv());
}

#[tokio::main]
async fn main() {
    tokio::spawn(ship_after_sleep());
    let (send, orders) = mpsc::channel(1);
    tokio::spawn(ship_after_message(orders));
    time::sleep(Duration::from_millis(10)).await;
    send.send(1).await.unwrap();
    tokio::spawn(ship_after_batch());
    tokio::spawn(ship_with_clock());
    tokio::spawn(ship_after_join());
    let (_keep, orders) = mpsc::channel(1);
    tokio::spawn(ship_both(orders));
    time::sleep(Duration::from_millis(20)).await; // The last one of main.
    pending::<()>().await;
}
