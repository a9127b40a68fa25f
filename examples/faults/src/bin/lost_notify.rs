//! `notify_waiters` tells sessions to end. It reaches only sessions that wait at that moment; a session that starts to wait a
//! moment later is not told.

use faults::repaired;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time;

async fn session(end: Arc<Notify>) {
    let mut ended = pin!(end.notified());
    if repaired() {
        // Waits from here on.
        ended.as_mut().enable();
        save().await;
        ended.await;
    } else {
        save().await;
        // Starts to wait after the notification: the fault.
        end.notified().await;
    }
}

async fn save() {
    time::sleep(Duration::from_millis(100)).await;
}

#[tokio::main]
async fn main() {
    let end = Arc::new(Notify::new());
    for _ in 0..5 {
        tokio::spawn(session(end.clone()));
    }
    time::sleep(Duration::from_millis(50)).await;
    end.notify_waiters();
    std::future::pending::<()>().await;
}
