//! `joinset [two] [repaired]`: a server adds each request to a set and takes none out. The results of all tasks stay.

use faults::repaired;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time;

async fn respond(request: u64) -> [u64; 16] {
    tokio::task::yield_now().await;
    [request; 16]
}

async fn accept() {
    let mut requests = JoinSet::new();
    for request in 0.. {
        requests.spawn(respond(request)); // Stays in the set: the fault.
        if std::env::args().nth(1).as_deref() == Some("two") {
            requests.spawn(respond(request)); // A second place.
        }
        while repaired() && requests.try_join_next().is_some() {}
        if request % 10 == 0 {
            time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::main]
async fn main() {
    tokio::spawn(accept());
    std::future::pending::<()>().await;
}
