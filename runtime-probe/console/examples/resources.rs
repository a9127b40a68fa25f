//! A bank for tokio-console, to show resources. It needs tokio's tracing and the feature `subscriber`:
//! `cargo run --release -p runtime-probe-console --features subscriber --example resources`, then `tokio-console`,
//! and `r` there for the resources. An argument is an address other than tokio-console's default.

use std::sync::Arc;
use std::time::Duration;

use runtime_probe::sync::{Semaphore, mpsc};
use runtime_probe::{runtime, time};
use runtime_probe_console::Server;
use tracing_subscriber::prelude::*;

/// Customers that wait for a counter.
const CUSTOMERS: usize = 12;

/// Open counters.
const COUNTERS: usize = 2;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let server = Server::new(address.as_deref().unwrap_or("127.0.0.1:6669"));
    let (layer, serving) = server.subscriber()?;
    tracing_subscriber::registry().with(layer).init();
    println!("tokio-console http://{}", serving.local_addr());
    runtime::Runtime::new()?.block_on(bank());
    Ok(())
}

/// Runs for ever.
async fn bank() {
    let counters = Arc::new(Semaphore::new(COUNTERS));
    let (papers, mut archive) = mpsc::channel::<usize>(4);
    for customer in 0..CUSTOMERS {
        let (counters, papers) = (counters.clone(), papers.clone());
        runtime_probe::spawn(async move {
            loop {
                let Ok(counter) = counters.acquire().await else {
                    return;
                };
                // An operation that begins and ends between two updates is not shown.
                time::sleep(Duration::from_secs(1)).await;
                drop(counter);
                if papers.send(customer).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(papers);
    while archive.recv().await.is_some() {}
}
