//! A program reads commands until it is told to stop, and then does not end: its last read occupies a thread of the blocking
//! pool, and only input ends that read.

use faults::repaired;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc;
use tokio::time;

async fn commands() {
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(command)) = lines.next_line().await {
        println!("{command}: done");
    }
}

/// The same, read by a thread that no runtime waits for.
async fn commands_of_a_thread() {
    let (sender, mut commands) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            sender.blocking_send(line).ok();
        }
    });
    while let Some(command) = commands.recv().await {
        println!("{command}: done");
    }
}

#[tokio::main]
async fn main() {
    tokio::select! {
        () = commands(), if !repaired() => {}
        () = commands_of_a_thread(), if repaired() => {}
        () = time::sleep(Duration::from_millis(500)) => {}
    }
    // Here the runtime is dropped, and the drop waits for the read: the fault.
}
