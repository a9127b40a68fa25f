//! A call asks for a lock while the guard of an earlier argument of the same call still holds it.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time;

type Visits = Arc<Mutex<Vec<usize>>>;

async fn note(visits: &Visits, number: usize) {
    visits.lock().await.push(number);
}

async fn visit(visits: Visits) {
    loop {
        if repaired() {
            let number = visits.lock().await.len();
            note(&visits, number).await;
        } else {
            // The guard lives until the end of the statement: the fault.
            note(&visits, visits.lock().await.len()).await;
        }
        time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main]
async fn main() {
    let visits = Visits::default();
    for _ in 0..3 {
        tokio::spawn(visit(visits.clone()));
    }
    std::future::pending::<()>().await;
}
