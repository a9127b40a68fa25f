//! A shutdown waits for its writer, which ends when all senders of its channel are dropped. The shutdown itself keeps one.

use faults::repaired;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time;

struct Log {
    lines: mpsc::Sender<u32>,
    writer: JoinHandle<()>,
}

async fn write(mut lines: mpsc::Receiver<u32>) {
    while let Some(line) = lines.recv().await {
        println!("{line}");
    }
}

impl Log {
    fn open() -> Log {
        let (lines, receiver) = mpsc::channel(8);
        let writer = tokio::spawn(write(receiver));
        Log { lines, writer }
    }

    async fn close(self) {
        let Log { lines, writer } = self;
        if repaired() {
            drop(lines);
        }
        // A sender of the channel still exists: the fault.
        writer.await.unwrap();
    }
}

async fn serve() {
    let log = Log::open();
    for line in 0..3 {
        log.lines.send(line).await.unwrap();
        time::sleep(Duration::from_millis(10)).await;
    }
    log.close().await;
}

#[tokio::main]
async fn main() {
    tokio::spawn(serve());
    std::future::pending::<()>().await;
}
