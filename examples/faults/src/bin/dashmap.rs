//! `dashmap [join|spawn] [repaired]`: a reference into a sharded map is held over an await. Another branch of the same task, or
//! other tasks, insert into the same shard.

use dashmap::DashMap;
use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

type Players = Arc<DashMap<&'static str, u64>>;

async fn refresh(players: Players) {
    loop {
        if repaired() {
            let score = players.get("ada").map(|score| *score);
            report(score.unwrap_or_default()).await;
        } else if let Some(score) = players.get("ada") {
            // The reference lives to the end of the block, which includes the await: the fault.
            report(*score).await;
        }
        time::sleep(Duration::from_millis(10)).await;
    }
}

async fn report(_score: u64) {
    time::sleep(Duration::from_millis(150)).await;
}

async fn record(players: Players) {
    loop {
        time::sleep(Duration::from_millis(40)).await;
        players.insert("ada", 1);
    }
}

async fn blink() {
    loop {
        time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let players = Players::default();
    players.insert("ada", 0);
    for _ in 0..3 {
        tokio::spawn(blink());
    }
    if std::env::args().nth(1).as_deref() == Some("spawn") {
        tokio::spawn(refresh(players.clone()));
        for _ in 0..2 {
            tokio::spawn(record(players.clone()));
        }
    } else {
        let recorded = players.clone();
        tokio::spawn(async move { tokio::join!(refresh(players), record(recorded)) });
    }
    std::future::pending::<()>().await;
}
