//! `deadlock [tasks|upgrade|blocking|healthy]`: locks that are taken in two orders, by three tasks in a ring; a reader that wants to
//! write while it reads; a thread and a worker over locks that block them. `healthy` waits for the same locks, and goes on.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, RwLock};
use tokio::time;

struct Account {
    cents: i64,
}

async fn transfer(from: Arc<Mutex<Account>>, to: Arc<Mutex<Account>>) {
    let mut from = from.lock().await;
    // Asks the bank.
    time::sleep(Duration::from_millis(100)).await;
    let mut to = to.lock().await;
    from.cents -= 1;
    to.cents += 1;
}

async fn report(account: Arc<Mutex<Account>>) -> i64 {
    account.lock().await.cents
}

async fn ring() {
    let accounts: Vec<_> = (0..3)
        .map(|cents| Arc::new(Mutex::new(Account { cents })))
        .collect();
    for at in 0..3 {
        tokio::spawn(transfer(
            accounts[at].clone(),
            accounts[(at + 1) % 3].clone(),
        ));
    }
    time::sleep(Duration::from_millis(50)).await;
    tokio::spawn(report(accounts[0].clone()));
    std::future::pending().await
}

async fn reload(settings: Arc<RwLock<u32>>) {
    let old = settings.read().await;
    time::sleep(Duration::from_millis(50)).await;
    *settings.write().await = *old + 1;
}

async fn upgrade() {
    tokio::spawn(reload(Arc::new(RwLock::new(0))));
    std::future::pending().await
}

type Shelf = Arc<tokio::sync::blocking::Mutex<u32>>;

fn carry(from: &Shelf, to: &Shelf) {
    let mut from = from.lock().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    *to.lock().unwrap() += 1;
    *from -= 1;
}

async fn blocking() {
    let shelves: [Shelf; 2] = std::array::from_fn(|_| Shelf::default());
    let [left, right] = shelves.clone();
    tokio::spawn(async move { carry(&left, &right) });
    let [left, right] = shelves;
    std::thread::spawn(move || carry(&right, &left));
    std::future::pending().await
}

/// Each waits for a lock of the next, and has none meanwhile.
async fn in_turn(accounts: Vec<Arc<Mutex<Account>>>) {
    loop {
        for account in &accounts {
            let mut account = account.lock().await;
            time::sleep(Duration::from_millis(3)).await;
            account.cents += 1;
        }
    }
}

async fn healthy() {
    let accounts: Vec<_> = (0..3)
        .map(|cents| Arc::new(Mutex::new(Account { cents })))
        .collect();
    for at in 0..6 {
        let mut accounts = accounts.clone();
        accounts.rotate_left(at % 3);
        tokio::spawn(in_turn(accounts));
    }
    std::future::pending().await
}

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("upgrade") => upgrade().await,
        Some("blocking") => blocking().await,
        Some("healthy") => healthy().await,
        _ => ring().await,
    }
}
