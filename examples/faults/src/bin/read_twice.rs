//! A task takes a read lock while it holds one. That works until a writer asks in between: the second read waits behind the
//! writer, and the writer behind the first read.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::time;

struct Settings {
    cents: u64,
    discount: u64,
}

async fn discounted(settings: &RwLock<Settings>, cents: u64) -> u64 {
    cents - settings.read().await.discount
}

async fn quote(settings: Arc<RwLock<Settings>>) {
    loop {
        let read = settings.read().await;
        time::sleep(Duration::from_millis(30)).await;
        let price = match repaired() {
            true => read.cents - read.discount,
            // Reads a second time: the fault.
            false => discounted(&settings, read.cents).await,
        };
        drop(read);
        println!("{price}");
    }
}

async fn reload(settings: Arc<RwLock<Settings>>) {
    loop {
        time::sleep(Duration::from_millis(20)).await;
        settings.write().await.cents += 1;
    }
}

#[tokio::main]
async fn main() {
    let settings = Arc::new(RwLock::new(Settings {
        cents: 100,
        discount: 10,
    }));
    tokio::spawn(quote(settings.clone()));
    tokio::spawn(reload(settings));
    std::future::pending::<()>().await;
}
