//! The service itself: the waits of an order in the shop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The items of the shop, with the price in cents that the database starts with.
pub const CATALOGUE: [(&str, u64); 4] =
    [("tea", 420), ("coffee", 560), ("cocoa", 380), ("mate", 490)];

/// Pieces of each item on the shelf after a delivery.
const FULL_SHELF: u64 = 1_000;

/// The state that every request shares.
///
/// Lock order: `stock` before `ledger`. Otherwise two tasks can wait for each other, as `/chaos/deadlock` shows.
pub struct Shop {
    pub stock: Mutex<HashMap<&'static str, u64>>,
    pub ledger: Mutex<Ledger>,
    pub counters: Counters,
    prices: Mutex<HashMap<&'static str, u64>>,
    database: Pool,
    outbox: mpsc::Sender<Receipt>,
}

/// The books: the number of orders and their revenue.
#[derive(Default)]
pub struct Ledger {
    pub orders: u64,
    pub cents: u64,
}

/// Counts that can be read without a wait.
#[derive(Default)]
pub struct Counters {
    pub orders: AtomicU64,
    pub refusals: AtomicU64,
    pub mails: AtomicU64,
}

/// The result of an order.
#[derive(Clone)]
pub struct Receipt {
    pub order: u64,
    pub item: &'static str,
    pub cents: u64,
    pub signature: u64,
}

/// Why an order failed.
pub enum Refusal {
    UnknownItem,
    SoldOut,
    Closed,
}

impl Shop {
    /// Opens the shop: starts the worker that mails receipts and the ticker that takes deliveries.
    pub fn open() -> Arc<Shop> {
        let (outbox, queue) = mpsc::channel(64);
        let shop = Arc::new(Shop {
            stock: Mutex::new(HashMap::new()),
            ledger: Mutex::new(Ledger::default()),
            counters: Counters::default(),
            prices: Mutex::new(HashMap::new()),
            database: Pool::new(8),
            outbox,
        });
        tokio::spawn(mail_receipts(Arc::clone(&shop), queue));
        tokio::spawn(take_deliveries(Arc::clone(&shop)));
        shop
    }

    /// The price in cents: from the cache, or else from the database.
    ///
    /// The lock is held during the query, so that only one of many requests asks for a price that has just expired.
    pub async fn price(&self, item: &str) -> Option<(&'static str, u64)> {
        let (item, list_price) = CATALOGUE.into_iter().find(|(name, _)| *name == item)?;
        let mut prices = self.prices.lock().await;
        if let Some(cents) = prices.get(item) {
            return Some((item, *cents));
        }
        self.database.connection().await.query().await;
        prices.insert(item, list_price);
        Some((item, list_price))
    }

    /// Sells one piece of `item`.
    pub async fn order(self: Arc<Self>, item: String) -> Result<Receipt, Refusal> {
        let Some((item, cents)) = self.price(&item).await else {
            self.counters.refusals.fetch_add(1, Relaxed);
            return Err(Refusal::UnknownItem);
        };
        let Some(order) = self.reserve(item, cents).await else {
            self.counters.refusals.fetch_add(1, Relaxed);
            return Err(Refusal::SoldOut);
        };
        self.database.connection().await.query().await;
        let signature = spawn_blocking(move || sign(order, cents))
            .await
            .map_err(|_| Refusal::Closed)?;
        let receipt = Receipt {
            order,
            item,
            cents,
            signature,
        };
        self.outbox
            .send(receipt.clone())
            .await
            .map_err(|_| Refusal::Closed)?;
        self.counters.orders.fetch_add(1, Relaxed);
        Ok(receipt)
    }

    /// Takes a piece from the shelf and enters it in the books, both or neither; returns the order's number.
    async fn reserve(&self, item: &str, cents: u64) -> Option<u64> {
        let mut stock = self.stock.lock().await;
        let pieces = stock.get_mut(item).filter(|pieces| **pieces > 0)?;
        let mut ledger = self.ledger.lock().await;
        *pieces -= 1;
        ledger.orders += 1;
        ledger.cents += cents;
        Some(ledger.orders)
    }
}

/// A pool of database connections: the permits of a semaphore.
struct Pool {
    permits: Semaphore,
}

/// A connection from the pool; dropping it gives it back.
struct Connection<'pool> {
    _permit: SemaphorePermit<'pool>,
}

impl Pool {
    fn new(connections: usize) -> Pool {
        Pool {
            permits: Semaphore::new(connections),
        }
    }

    async fn connection(&self) -> Connection<'_> {
        let permit = self
            .permits
            .acquire()
            .await
            .expect("the pool is never closed");
        Connection { _permit: permit }
    }
}

impl Connection<'_> {
    /// Takes the time of a round trip to the database.
    async fn query(&self) {
        sleep(Duration::from_millis(3)).await;
    }
}

/// The worker: mails each receipt, one after the other.
async fn mail_receipts(shop: Arc<Shop>, mut queue: mpsc::Receiver<Receipt>) {
    while let Some(_receipt) = queue.recv().await {
        sleep(Duration::from_millis(2)).await;
        shop.counters.mails.fetch_add(1, Relaxed);
    }
}

/// The ticker: each second the shelf is filled up and the cached prices expire.
async fn take_deliveries(shop: Arc<Shop>) {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        shop.stock
            .lock()
            .await
            .extend(CATALOGUE.map(|(item, _)| (item, FULL_SHELF)));
        shop.prices.lock().await.clear();
    }
}

/// Signs a receipt: FNV-1a over its fields, again and again, to take the time that a real signature takes.
fn sign(order: u64, cents: u64) -> u64 {
    const ROUNDS: usize = 20_000;
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    (0..ROUNDS).fold(OFFSET_BASIS, |hash, _| {
        [order, cents]
            .into_iter()
            .fold(hash, |hash, field| (hash ^ field).wrapping_mul(PRIME))
    })
}
