//! A cache of replies that is never emptied, in a service with the probe's allocator: its memory grows, its tasks do not.

use faults::repaired;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time;

#[global_allocator]
static HEAP: tokio::pprof::heap::Allocator = tokio::pprof::heap::Allocator::system();

/// More than one sample each, at the default rate.
const REPLY: usize = 1 << 20;

fn render(number: u64) -> Vec<u8> {
    vec![number as u8; REPLY]
}

async fn serve() {
    let mut replies = HashMap::new();
    let mut ticks = time::interval(Duration::from_millis(50));
    // As many as fit into the memory of a small machine, so that the program ends before the memory does.
    for number in 0..200 {
        ticks.tick().await;
        let key = if repaired() { 0 } else { number };
        replies.insert(key, render(number));
    }
    std::future::pending::<()>().await;
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    tokio::spawn(serve());
    std::future::pending::<()>().await;
}
