//! `deadlock [ring|upgrade|blocking|healthy] [repaired]`: three tasks take locks in a ring; a reader wants to write while it
//! reads; a thread and a worker take two blocking locks in two orders. `healthy` waits for the same locks, and goes on.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, RwLock};
use tokio::{task, time};

struct Account {
    cents: i64,
}

type Accounts = Arc<[Mutex<Account>]>;

async fn transfer(accounts: Accounts, from: usize, to: usize) {
    loop {
        // In the order of the transfer, which differs between the tasks: the fault.
        let (first, second) = match repaired() {
            true => (from.min(to), from.max(to)),
            false => (from, to),
        };
        let mut first = accounts[first].lock().await;
        ask_bank().await;
        let mut second = accounts[second].lock().await;
        first.cents += 1;
        second.cents += 1;
    }
}

async fn ask_bank() {
    time::sleep(Duration::from_millis(50)).await;
}

async fn report(accounts: Accounts) -> i64 {
    accounts[0].lock().await.cents
}

async fn ring() {
    let accounts: Accounts = (0..3).map(|cents| Mutex::new(Account { cents })).collect();
    for at in 0..3 {
        tokio::spawn(transfer(accounts.clone(), at, (at + 1) % 3));
    }
    time::sleep(Duration::from_millis(25)).await;
    tokio::spawn(report(accounts));
    std::future::pending().await
}

async fn reload(settings: Arc<RwLock<u32>>) {
    loop {
        let old = settings.read().await;
        ask_bank().await;
        let new = *old + 1;
        if repaired() {
            drop(old);
        }
        // The lock is still held for reading: the fault.
        *settings.write().await = new;
    }
}

async fn upgrade() {
    tokio::spawn(reload(Arc::new(RwLock::new(0))));
    std::future::pending().await
}

type Shelf = Arc<tokio::sync::blocking::Mutex<u32>>;

fn carry(from: &Shelf, to: &Shelf) {
    let mut from = from.lock().unwrap();
    std::thread::sleep(Duration::from_millis(10));
    *to.lock().unwrap() += 1;
    *from += 1;
}

async fn blocking() {
    let shelves: [Shelf; 2] = std::array::from_fn(|_| Shelf::default());
    let [left, right] = shelves.clone();
    tokio::spawn(async move {
        loop {
            carry(&left, &right);
            task::yield_now().await;
        }
    });
    let [left, right] = shelves;
    std::thread::spawn(move || {
        loop {
            match repaired() {
                true => carry(&left, &right),
                false => carry(&right, &left), // In the other order: the fault.
            }
        }
    });
    std::future::pending().await
}

/// Each task waits for the lock of another one, and holds none meanwhile.
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
