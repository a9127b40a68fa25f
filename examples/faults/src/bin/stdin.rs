//! A program that reads commands until it is told to stop, and then does not end: the read that it has begun is on a thread of
//! the blocking pool, and nothing but input ends it.

use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::time;

async fn commands() {
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(command)) = lines.next_line().await {
        println!("{command}: done");
    }
}

#[tokio::main]
async fn main() {
    tokio::select! {
        () = commands() => {}
        () = time::sleep(Duration::from_millis(500)) => {}
    }
    // What is left is the end of the runtime, which waits for the read: the fault.
}
