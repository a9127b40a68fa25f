//! Two deadlocks: over two mutexes of the crate futures that are taken in two orders, and over two of tokio's, where each task
//! has a time limit, as behind a web framework.

use faults::repaired;
use futures_util::lock;
use std::sync::Arc;
use std::time::Duration;
use tokio::{sync, time};

type Pair = Arc<(lock::Mutex<u32>, lock::Mutex<u32>)>;

async fn debit(pair: Pair) {
    let _from = pair.0.lock().await;
    time::sleep(Duration::from_millis(50)).await;
    let _to = pair.1.lock().await;
}

async fn credit(pair: Pair) {
    if repaired() {
        return debit(pair).await;
    }
    let _to = pair.1.lock().await;
    time::sleep(Duration::from_millis(50)).await;
    let _from = pair.0.lock().await;
}

type Accounts = Arc<(sync::Mutex<u32>, sync::Mutex<u32>)>;

async fn move_money(accounts: Accounts, forwards: bool) {
    let (first, second) = match forwards || repaired() {
        true => (&accounts.0, &accounts.1),
        false => (&accounts.1, &accounts.0),
    };
    let _first = first.lock().await;
    time::sleep(Duration::from_millis(50)).await;
    let _second = second.lock().await;
}

async fn handle(accounts: Accounts, forwards: bool) {
    let _ = time::timeout(Duration::from_secs(600), move_money(accounts, forwards)).await;
}

#[tokio::main]
async fn main() {
    let pair = Pair::default();
    tokio::spawn(debit(pair.clone()));
    tokio::spawn(credit(pair));
    let accounts = Accounts::default();
    tokio::spawn(handle(accounts.clone(), true));
    tokio::spawn(handle(accounts, false));
    std::future::pending::<()>().await;
}
