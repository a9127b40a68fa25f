//! A periodic job beside a shutdown signal, a retry with a deadline, and two jobs in a `join!`. In each, a timer that has ended
//! was registered in the same poll as the current wait of the job. `select!` polls its branches in a random order, so there are
//! many jobs of each kind.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, broadcast};
use tokio::time;

type Store = Arc<Mutex<u32>>;

async fn every_tick(store: Store) {
    let mut ticks = time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        vacuum(&store).await;
    }
}

async fn vacuum(store: &Store) {
    *store.lock().await += 1;
}

async fn until_shutdown(store: Store, mut shutdown: broadcast::Receiver<()>) {
    tokio::select! {
        () = every_tick(store) => {}
        _ = shutdown.recv() => {}
    }
}

async fn with_retry(store: Store) {
    for _ in 0..3 {
        time::sleep(Duration::from_millis(20)).await;
        vacuum(&store).await;
    }
}

async fn with_deadline(store: Store) {
    let _ = time::timeout(Duration::from_secs(3600), with_retry(store)).await;
}

async fn side_by_side(store: Store) {
    tokio::join!(with_retry(store.clone()), with_retry(store));
}

/// The second job waits for its lock while the first one still sleeps: both wait, at different lines of one function.
async fn one_after_the_other(store: Store) {
    tokio::join!(
        naps(Duration::from_secs(3600), store.clone()),
        naps(Duration::ZERO, store)
    );
}

async fn naps(nap: Duration, store: Store) {
    time::sleep(nap).await;
    vacuum(&store).await;
}

#[tokio::main]
async fn main() {
    let store = Store::default();
    let never_released = store.lock().await;
    if repaired() {
        drop(never_released);
    }
    let (_keep, shutdown) = broadcast::channel(1);
    for _ in 0..50 {
        tokio::spawn(until_shutdown(store.clone(), shutdown.resubscribe()));
        tokio::spawn(with_deadline(store.clone()));
        tokio::spawn(side_by_side(store.clone()));
        tokio::spawn(one_after_the_other(store.clone()));
    }
    std::future::pending::<()>().await;
}
