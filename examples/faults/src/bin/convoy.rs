//! Rates are fetched from a slow peer while the lock of their cache is held. The peer always answers, so all requests go on, one
//! after the other.

use faults::repaired;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time;

struct Rates {
    bank: SocketAddr,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    rate: u64,
}

async fn fetch(bank: SocketAddr) -> u64 {
    let mut bank = TcpStream::connect(bank).await.unwrap();
    bank.read_u64().await.unwrap()
}

async fn convert(rates: Arc<Rates>) {
    loop {
        if repaired() {
            let rate = fetch(rates.bank).await;
            rates.known.lock().await.rate = rate;
        } else {
            let mut known = rates.known.lock().await;
            // The lock is held while this waits: the fault.
            known.rate = fetch(rates.bank).await;
        }
    }
}

async fn answer(mut client: TcpStream) {
    time::sleep(Duration::from_millis(400)).await;
    client.write_u64(7).await.ok();
}

async fn bank(listener: TcpListener) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(answer(client));
    }
}

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rates = Arc::new(Rates {
        bank: listener.local_addr().unwrap(),
        known: Mutex::default(),
    });
    tokio::spawn(bank(listener));
    for _ in 0..20 {
        tokio::spawn(convert(rates.clone()));
    }
    std::future::pending::<()>().await;
}
