//! Classic faults, each with a switch, to be found with the probe.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::shop::Shop;

/// How many tasks one request to `/chaos/leak` leaks.
const LEAKED_TASKS: usize = 100;

/// How long a worker is blocked at most: if it is the worker that polls the sockets, no client can ask to switch the fault off.
const KEPT: Duration = Duration::from_secs(10);

/// The active faults, and the handles that switch them off.
#[derive(Default)]
pub struct Chaos {
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    tasks: Vec<JoinHandle<()>>,
    /// Nothing is ever sent; as long as the senders live, the receivers wait.
    approvals: Vec<mpsc::Sender<()>>,
    printers: Vec<Arc<Printer>>,
}

impl Chaos {
    /// Spawns tasks that wait for ever for a channel whose sender is alive and silent.
    pub fn leak(&self) -> String {
        let (tasks, approvals): (Vec<_>, Vec<_>) = (0..LEAKED_TASKS)
            .map(|_| {
                let (approval, approved) = mpsc::channel(1);
                (tokio::spawn(refund_when_approved(approved)), approval)
            })
            .unzip();
        self.with_faults(|faults| {
            faults.tasks.extend(tasks);
            faults.approvals.extend(approvals);
        });
        format!("{LEAKED_TASKS} refunds now wait for an approval that no task sends.\n")
    }

    /// Makes two tasks take the shop's two locks in opposite order; each has its first lock before the other one takes its
    /// second.
    pub fn deadlock(&self, shop: &Arc<Shop>) -> String {
        let (has_stock, stock_taken) = oneshot::channel();
        let (has_ledger, ledger_taken) = oneshot::channel();
        let tasks = [
            tokio::spawn(count_stock(Arc::clone(shop), has_stock, ledger_taken)),
            tokio::spawn(audit_books(Arc::clone(shop), stock_taken, has_ledger)),
        ];
        self.with_faults(|faults| faults.tasks.extend(tasks));
        "count_stock has the stock and waits for the ledger, audit_books has the ledger and waits for the stock; \
         every order and the ticker now wait for the stock.\n"
            .to_owned()
    }

    /// Spawns a task that waits for a future which returned `Pending` and kept no waker.
    pub fn lost_waker(&self) -> String {
        let paid = Arc::new(AtomicBool::new(false));
        let bank = tokio::spawn(report_payment(Arc::clone(&paid)));
        let customer = tokio::spawn(ship_when_paid(PaymentConfirmed { paid }));
        self.with_faults(|faults| faults.tasks.extend([bank, customer]));
        "A shipment waits for a payment; the payment arrives in a second, and nothing will wake the shipment.\n".to_owned()
    }

    /// Spawns a task that holds the lock of the stock most of the time, and releases it again and again.
    pub fn contention(&self, shop: &Arc<Shop>) -> String {
        let task = tokio::spawn(take_inventory(Arc::clone(shop)));
        self.with_faults(|faults| faults.tasks.push(task));
        "A task takes an inventory and has the stock locked while it counts; orders and the ticker wait each time.\n"
            .to_owned()
    }

    /// Spawns a task that blocks its thread until a printer is on: its worker polls no other task meanwhile.
    pub fn block_worker(&self) -> String {
        let printer = self.printer();
        let task = tokio::spawn(print_receipt(printer));
        self.with_faults(|faults| faults.tasks.push(task));
        format!(
            "A worker waits for a printer, for {KEPT:?} at most; as often as you ask, one more.\n"
        )
    }

    /// Spawns a task that computes for long between two awaits: its worker polls no other task meanwhile.
    pub fn spin(&self) -> String {
        let printer = self.printer();
        let task = tokio::spawn(price_every_basket(printer));
        self.with_faults(|faults| faults.tasks.push(task));
        format!(
            "A worker prices every basket there could be, for {KEPT:?} at most; as often as you ask, one more.\n"
        )
    }

    fn printer(&self) -> Arc<Printer> {
        let printer = Arc::new(Printer::default());
        self.with_faults(|faults| faults.printers.push(Arc::clone(&printer)));
        printer
    }

    /// Ends all tasks of all faults; dropping them releases their locks.
    pub fn off(&self) -> String {
        let Faults {
            tasks,
            approvals,
            printers,
        } = self.with_faults(std::mem::take);
        drop(approvals);
        printers.iter().for_each(|printer| printer.turn_on());
        let alive = tasks.iter().filter(|task| !task.is_finished()).count();
        tasks.iter().for_each(JoinHandle::abort);
        format!("The faults are off; {alive} tasks end.\n")
    }

    fn with_faults<R>(&self, change: impl FnOnce(&mut Faults) -> R) -> R {
        change(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The leaked task.
async fn refund_when_approved(mut approved: mpsc::Receiver<()>) {
    approved.recv().await;
}

/// Locks in the shop's order: stock, then ledger. The two channels make the deadlock certain.
async fn count_stock(
    shop: Arc<Shop>,
    has_stock: oneshot::Sender<()>,
    ledger_taken: oneshot::Receiver<()>,
) {
    let stock = shop.stock.lock().await;
    let _ = has_stock.send(());
    let _ = ledger_taken.await;
    let ledger = shop.ledger.lock().await;
    println!(
        "{} pieces in stock after {} orders",
        stock.values().sum::<u64>(),
        ledger.orders
    );
}

/// Locks in the wrong order: ledger, then stock.
async fn audit_books(
    shop: Arc<Shop>,
    stock_taken: oneshot::Receiver<()>,
    has_ledger: oneshot::Sender<()>,
) {
    let _ = stock_taken.await;
    let ledger = shop.ledger.lock().await;
    let _ = has_ledger.send(());
    let stock = shop.stock.lock().await;
    println!(
        "{} cents earned, {} items in stock",
        ledger.cents,
        stock.len()
    );
}

/// Counts the stock. The fault: it holds the lock while it counts, which takes longer than an order.
async fn take_inventory(shop: Arc<Shop>) {
    loop {
        let stock = shop.stock.lock().await;
        for _item in stock.keys() {
            sleep(Duration::from_millis(10)).await;
        }
        drop(stock);
        sleep(Duration::from_millis(10)).await;
    }
}

/// Off until it is switched on.
#[derive(Default)]
struct Printer {
    is_on: AtomicBool,
    lock: Mutex<()>,
    turned_on: Condvar,
}

impl Printer {
    /// Waits until it is on. The fault: the wait blocks the thread.
    fn wait(&self) {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let off = |(): &mut ()| !self.is_on();
        let _woken = self.turned_on.wait_timeout_while(lock, KEPT, off);
    }

    fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    fn turn_on(&self) {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_on.store(true, Ordering::Relaxed);
        self.turned_on.notify_all();
    }
}

async fn print_receipt(printer: Arc<Printer>) {
    printer.wait();
}

/// The fault: no await in all this time.
async fn price_every_basket(printer: Arc<Printer>) {
    let began = Instant::now();
    let mut cents = 0;
    while !printer.is_on() && began.elapsed() < KEPT {
        cents += cheapest_basket(1_000_000);
    }
    println!("{cents} cents");
}

#[inline(never)]
fn cheapest_basket(baskets: u64) -> u64 {
    (0..baskets)
        .map(|basket| std::hint::black_box(basket) % 997)
        .min()
        .unwrap_or(0)
}

/// Completes when the bank has reported the payment. The fault: `poll` keeps no waker that the bank could wake.
struct PaymentConfirmed {
    paid: Arc<AtomicBool>,
}

impl Future for PaymentConfirmed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // Acquire pairs with the Release in `report_payment`.
        if self.paid.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

async fn ship_when_paid(payment: PaymentConfirmed) {
    payment.await;
    println!("shipped: something else has woken the task");
}

async fn report_payment(paid: Arc<AtomicBool>) {
    sleep(Duration::from_secs(1)).await;
    paid.store(true, Ordering::Release);
}
